// @vitest-environment jsdom
import { act, render, renderHook } from "@testing-library/react";
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { link } from "../api/link";
import { LostBar } from "../shell/Shell";
import { useRarely } from "./polite";

beforeEach(() => void vi.useFakeTimers());
afterEach(() => {
  vi.useRealTimers();
  link.set({ state: "connecting", since: 0 });
});

test("a value that changes all the time is told seldom, and its last state in the end", () => {
  const seen: number[] = [];
  const { rerender } = renderHook(
    ({ n }) => {
      const told = useRarely(n, 10_000);
      if (seen.at(-1) !== told) seen.push(told);
    },
    { initialProps: { n: 0 } },
  );
  for (let n = 1; n <= 250; n++) {
    rerender({ n });
    act(() => void vi.advanceTimersByTime(100));
  }
  expect(seen).toHaveLength(3);
  act(() => void vi.advanceTimersByTime(10_000));
  expect(seen.at(-1)).toBe(250);
});

test("a lost connection is said once, though its age ticks, and so is its return", () => {
  link.set({ state: "live", since: Date.now() });
  const { container, getByRole } = render(<LostBar />);
  const said: (string | null)[] = [];
  const listen = new MutationObserver(() => {});
  listen.observe(getByRole("status"), { childList: true, characterData: true, subtree: true });
  act(() => link.set({ state: "lost", since: Date.now() }));
  for (let s = 0; s < 60; s++) {
    act(() => void vi.advanceTimersByTime(1000));
    if (listen.takeRecords().length > 0) said.push(getByRole("status").textContent);
  }
  expect(container.textContent).toContain("1 min 00 s");
  act(() => link.set({ state: "live", since: Date.now() }));
  if (listen.takeRecords().length > 0) said.push(getByRole("status").textContent);
  expect(said).toEqual([
    "The connection to the hub is lost. It comes back by itself.",
    "The connection to the hub is back.",
  ]);
});
