// @vitest-environment jsdom
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { connect } from "./socket";

type Fake = { url: string; onopen?: () => void; onclose?: ((e: { code: number }) => void) | null; close(): void };

beforeEach(() => void vi.useFakeTimers());
afterEach(() => void vi.useRealTimers());

function setup() {
  const made: Fake[] = [];
  const states: [string, number][] = [];
  const refused = vi.fn();
  const connection = connect(
    { url: () => `u${made.length}`, message: () => {}, link: (s, since) => states.push([s, since]), refused },
    (url) => {
      const fake: Fake = { url, close() {} };
      made.push(fake);
      return fake as unknown as WebSocket;
    },
  );
  return { made, states, refused, connection };
}

test("it comes back with jitter that never exceeds 15 s, and keeps since when it was lost", () => {
  const { made, states } = setup();
  made[0]?.onopen?.();
  for (let i = 0; i < 8; i++) {
    made.at(-1)?.onclose?.({ code: 1006 });
    vi.advanceTimersByTime(15_000);
    expect(made).toHaveLength(i + 2);
  }
  const lost = states.filter(([s]) => s === "lost").map(([, since]) => since);
  expect(new Set(lost).size).toBe(1);
});

test("a session that ended is not tried again", () => {
  const { made, refused } = setup();
  made[0]?.onclose?.({ code: 4401 });
  vi.advanceTimersByTime(60_000);
  expect(refused).toHaveBeenCalledOnce();
  expect(made).toHaveLength(1);
});

test("a network that is back is used at once", () => {
  const { made } = setup();
  vi.spyOn(Math, "random").mockReturnValue(0.99);
  for (let i = 0; i < 6; i++) {
    made.at(-1)?.onclose?.({ code: 1006 });
    vi.advanceTimersByTime(15_000);
  }
  const n = made.length;
  made.at(-1)?.onclose?.({ code: 1006 });
  window.dispatchEvent(new Event("online"));
  expect(made).toHaveLength(n + 1);
});
