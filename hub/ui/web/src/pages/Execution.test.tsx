// @vitest-environment jsdom
import { fireEvent, screen, waitFor, within } from "@testing-library/react";
import { expect, test } from "vitest";
import type { Execution, ExecutionNode } from "../api/client";
import { local, zoneOffset } from "../base/time";
import { waitOf } from "../base/Wait";
import { type Hub, open } from "../test-page";

const ago = (seconds: number) => new Date(Date.now() - seconds * 1000).toISOString();

const execution = {
  id: "e7",
  number: 7,
  project: "web",
  name: "uptime",
  status: "queued",
  logComplete: false,
  createdAt: ago(200),
  nodes: { queued: 2 },
  steps: [{ position: 0, kind: "exec", label: "uptime" }],
  threadcount: 4,
  waitingFor: { kind: "runner", since: ago(125), message: "no connected runner has tags dc1" },
} as unknown as Execution;
const row = (node: string, status: string) => ({ node, position: 0, status, steps: [] }) as unknown as ExecutionNode;
const rows = [row("web1", "queued"), row("web2", "queued")];

const waits = /no connected runner has tags dc1.*for 2 min \d\d s/;
// Its pieces lie in elements of their own.
const saying = (box: HTMLElement) =>
  within(box).queryAllByText((_, el) => waits.test(el?.textContent ?? "")).length > 0;

test("a list says for what an execution waits, and since when", async () => {
  open("/executions", { "GET /api/v1/executions": { items: [execution] } });
  await waitFor(() => expect(saying(document.body)).toBe(true));
});

test("its page says so of the whole, of its nodes and of the chosen one", async () => {
  open("/executions/7?node=web2", {
    "GET /api/v1/executions/7": execution,
    "GET /api/v1/executions/7/nodes": { items: rows, total: 2 },
    "GET /api/v1/executions/e7/log": "",
  });
  await screen.findByText(/2 nodes wait/);
  for (const part of [".exec-head", ".exec-wait", ".cell-facts"])
    expect(saying(document.querySelector(part) as HTMLElement), part).toBe(true);
});

test("a node waits for what its execution waits for, else for its turn, and only while queued", () => {
  const running = { ...execution, status: "running", startedAt: ago(60) } as unknown as Execution;
  const { waitingFor: _, ...busy } = running;
  expect(waitOf(running, row("a", "queued"))).toBe(running.waitingFor);
  expect(waitOf(busy as Execution, row("a", "queued"))).toMatchObject({
    kind: "queue",
    since: running.startedAt,
    message: "other nodes go first, 4 at a time",
  });
  expect(waitOf(busy as Execution, row("a", "running"))).toBeUndefined();
  expect(waitOf({ ...busy, outcome: "failed" } as Execution, row("a", "queued"))).toBeUndefined();
  expect(waitOf({ ...busy, status: "cancelled" } as Execution, row("a", "queued"))).toBeUndefined();
});

test("a person keeps an execution, and gives it back", async () => {
  const over = { ...execution, status: "succeeded", waitingFor: undefined, kept: false } as unknown as Execution;
  open("/executions/7", {
    "GET /api/v1/executions/7": over,
    "GET /api/v1/executions/7/nodes": { items: rows, total: 2 },
    "GET /api/v1/executions/e7/log": "",
    "POST /api/v1/executions/e7/keep": { ...over, kept: true },
    "DELETE /api/v1/executions/e7/keep": over,
  });
  fireEvent.click(await screen.findByRole("button", { name: "Keep" }));
  fireEvent.click(await screen.findByRole("button", { name: "Kept", pressed: true }));
  await screen.findByRole("button", { name: "Keep", pressed: false });
});

test("run again offers the nodes that failed before the matrix is there", async () => {
  const over = {
    ...execution,
    status: "failed",
    waitingFor: undefined,
    nodes: { failed: 2, timed_out: 1, unknown: 1 },
  };
  open("/executions/7", {
    "GET /api/v1/executions/7": over,
    "GET /api/v1/executions/7/nodes": () => new Promise(() => {}),
    "GET /api/v1/executions/e7/log": "",
  });
  fireEvent.click(await screen.findByRole("button", { name: "Run again" }));
  await screen.findByText("On the 3 nodes that failed");
  await screen.findByText("1 node is unknown and left out: look at it first.");
});

const page = (over: unknown): Hub => ({
  "GET /api/v1/executions/7": over,
  "GET /api/v1/executions/7/nodes": { items: rows, total: 2 },
  "GET /api/v1/executions/e7/log": "",
});

test("who lets an execution run is back at the button that asked", async () => {
  open("/executions/7", page(execution));
  const cancel = await screen.findByRole("button", { name: "Cancel" });
  cancel.focus();
  fireEvent.click(cancel);
  const stay = await screen.findByText("Let it run");
  await waitFor(() => expect(document.activeElement?.textContent).toBe("Let it run"));
  fireEvent.click(stay);
  await waitFor(() => expect(document.activeElement).toBe(cancel));
});

test("Escape closes the options of an execution", async () => {
  open("/executions/7", page({ ...execution, options: { release: "2026.11" } }));
  const options = await screen.findByText("1 option");
  fireEvent.click(options);
  await screen.findByText("2026.11");
  fireEvent.keyDown(options, { key: "Escape" });
  await waitFor(() => expect(screen.queryByText("2026.11")).toBeNull());
});

test("an execution that waits for its time says when that is for the viewer", async () => {
  const runAt = "2027-03-14T10:00:00Z";
  const later = {
    ...execution,
    status: "scheduled",
    runAt,
    waitingFor: { kind: "schedule", since: ago(9), message: `until ${runAt}` },
  };
  open("/executions/7", page(later));
  const told = `until ${local(Date.parse(runAt), Date.now())} ${zoneOffset(Date.parse(runAt))}`;
  expect((await screen.findByText(/^until /)).textContent).toBe(told);
});

const noisy = (more: boolean) =>
  `${JSON.stringify({ cursor: "c2", node: "web1", step: 0, try: 1, stream: "stdout", time: ago(9), line: 1, text: "two" })}\n${JSON.stringify({ end: { cursor: "c2", status: "running", logComplete: false, more } })}\n`;
const busy = { ...execution, status: "running", waitingFor: undefined };

test("where a log is opened at a line it follows its end once the reader goes there, and not before", async () => {
  open("/executions/7?at=c1", { ...page(busy), "GET /api/v1/executions/e7/log": noisy(false) });
  await screen.findAllByText("1 line shown");
  const lines = screen.getByRole("region", { name: "Lines of the log" });
  fireEvent.scroll(lines);
  expect(screen.getAllByRole("button", { name: "Follow the end" }).length).toBeGreaterThan(0);
  fireEvent.wheel(lines);
  fireEvent.scroll(lines);
  await screen.findByRole("button", { name: "Stop following" });
});

test("the end of what is loaded is not the end of the log", async () => {
  open("/executions/7?at=c1", { ...page(busy), "GET /api/v1/executions/e7/log": noisy(true) });
  await screen.findAllByText("1 line shown");
  const lines = screen.getByRole("region", { name: "Lines of the log" });
  fireEvent.wheel(lines);
  fireEvent.scroll(lines);
  expect(screen.queryByRole("button", { name: "Stop following" })).toBeNull();
});

test("the focus goes on at the lines when those of all nodes are wanted again", async () => {
  open("/executions/7?node=web2", page(execution));
  const chip = await screen.findByRole("button", { name: "Show the lines of all nodes again" });
  chip.focus();
  fireEvent.click(chip);
  await waitFor(() => expect(document.activeElement?.className).toMatch(/log-lines/));
});

test("Enter goes along the words in the box, not those that the whole log was searched for", async () => {
  open("/executions/7?at=c1", {
    ...page({ ...busy, status: "succeeded" }),
    "GET /api/v1/executions/e7/log": noisy(false) + noisy(false),
    "GET /api/v1/executions/e7/log/search": {
      items: [{ cursor: "c9", before: "c8", node: "web1", line: 8, parts: [{ text: "else" }] }],
      reached: 9,
      lines: 9,
    },
  });
  const box = await screen.findByLabelText("Find in the lines that are loaded");
  fireEvent.change(box, { target: { value: "else" } });
  fireEvent.click(screen.getByRole("button", { name: "Search the whole log" }));
  await screen.findAllByText("1 line found");
  fireEvent.change(box, { target: { value: "two" } });
  await screen.findAllByText("1 of 2");
  fireEvent.keyDown(box, { key: "Enter" });
  await screen.findAllByText("2 of 2");
});
