// @vitest-environment jsdom
import { act, screen } from "@testing-library/react";
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import type { Execution } from "../api/client";
import { news } from "../api/live";
import { open } from "../test-page";

beforeEach(() => void vi.useFakeTimers());
afterEach(() => {
  vi.useRealTimers();
  news.set([]);
});

const pass = (ms: number) => act(() => vi.advanceTimersByTimeAsync(ms));

const run = (number: number) =>
  ({
    id: `e${number}`,
    number,
    project: "web",
    name: "deploy",
    status: "running",
    startedBy: "mara",
    logComplete: false,
    createdAt: "2026-11-22T15:04:05Z",
    nodes: {},
  }) as unknown as Execution;

test("a list whose reading takes longer than news wait for one is read nevertheless", async () => {
  let items = [run(1)];
  let slow = 0;
  open("/executions", {
    "GET /api/v1/executions": async () => {
      const told = items;
      await new Promise((resolve) => setTimeout(resolve, slow));
      return { items: told };
    },
  });
  await pass(100);
  expect(screen.queryByText("#1")).not.toBeNull();
  slow = 2000;
  items = [run(2), run(1)];
  act(() => news.set([{ execution: run(2), at: Date.now() + 1 }]));
  await pass(5000);
  expect(screen.queryByText("#2")).not.toBeNull();
});

test("a list can be narrowed to each state that an execution can have", async () => {
  open("/executions?status=held", {});
  await pass(100);
  for (const state of ["Held", "Scheduled", "Cancelling", "Missed"])
    expect(screen.queryByRole("button", { name: state, pressed: state === "Held" }), state).not.toBeNull();
});
