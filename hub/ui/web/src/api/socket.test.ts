// @vitest-environment jsdom
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { connect, type SocketHandlers } from "./socket";

type Fake = {
  url: string;
  closed: boolean;
  onopen?: () => void;
  onclose?: ((e: { code: number }) => void) | null;
  close(): void;
};

beforeEach(() => void vi.useFakeTimers());
afterEach(() => void vi.useRealTimers());

function setup(more: Partial<SocketHandlers> = {}) {
  const made: Fake[] = [];
  const states: [string, number][] = [];
  const refused = vi.fn();
  const connection = connect(
    { url: () => `u${made.length}`, message: () => {}, link: (s, since) => states.push([s, since]), refused, ...more },
    (url) => {
      const fake: Fake = {
        url,
        closed: false,
        close() {
          this.closed = true;
        },
      };
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

test("a socket that never opens is given up, and another way taken", async () => {
  const ends: ((again: boolean) => void)[] = [];
  const { made, states } = setup({
    instead: (_, live) => {
      live();
      return new Promise((resolve) => {
        ends.push(resolve);
      });
    },
  });
  await vi.advanceTimersByTimeAsync(8_000);
  expect(made[0]?.closed).toBe(true);
  made[0]?.onclose?.({ code: 1006 });
  await vi.advanceTimersByTimeAsync(0);
  expect(states.at(-1)?.[0]).toBe("live");
  await vi.advanceTimersByTimeAsync(60_000);
  expect(made).toHaveLength(1);
  ends[0]?.(true);
  await vi.advanceTimersByTimeAsync(0);
  expect(states.at(-1)?.[0]).toBe("lost");
  await vi.advanceTimersByTimeAsync(500);
  expect(made).toHaveLength(2);
});

test("a socket that was open and is cut comes back as a socket", () => {
  const instead = vi.fn();
  const { made } = setup({ instead });
  made[0]?.onopen?.();
  made[0]?.onclose?.({ code: 1006 });
  vi.advanceTimersByTime(15_000);
  expect(made).toHaveLength(2);
  expect(instead).not.toHaveBeenCalled();
});
