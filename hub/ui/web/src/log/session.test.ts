// @vitest-environment jsdom
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { LogSession, parsePage } from "./session";

const at = (n: number) => ({
  cursor: `c${n}`,
  node: "web1",
  step: 0,
  try: 1,
  stream: "stdout",
  time: "2026-11-22T15:04:05.123Z",
  line: n,
  text: `line ${n}`,
});

class FakeSocket {
  static made: FakeSocket[] = [];
  onopen?: () => void;
  onmessage?: (event: { data: string }) => void;
  onclose?: ((event: { code: number }) => void) | null;
  closed = false;
  constructor(readonly url: string) {
    FakeSocket.made.push(this);
  }
  close() {
    this.closed = true;
  }
  say(message: unknown) {
    this.onmessage?.({ data: JSON.stringify(message) });
  }
}

beforeEach(() => {
  FakeSocket.made = [];
  vi.useFakeTimers();
  vi.stubGlobal("WebSocket", FakeSocket);
});
afterEach(() => {
  vi.useRealTimers();
  vi.unstubAllGlobals();
});

const last = () => FakeSocket.made.at(-1) as FakeSocket;

test("a page is lines and at the end the end; empty lines are beats", () => {
  const text = `${JSON.stringify(at(1))}\n\n${JSON.stringify({ end: { cursor: "c1", status: "running", logComplete: false, more: true } })}\n`;
  const page = parsePage(text);
  expect(page.lines).toHaveLength(1);
  expect(page.end?.more).toBe(true);
});

test("following goes on behind the last line taken, shown or not", () => {
  const session = new LogSession({ execution: "e1", node: "web 1", step: 2 });
  session.follow();
  expect(new URL(last().url).searchParams.get("cursor")).toBe(null);
  expect(new URL(last().url).searchParams.get("node")).toBe("web 1");
  expect(new URL(last().url).searchParams.get("step")).toBe("2");
  last().onopen?.();
  expect(session.view.get().state).toBe("following");
  last().say({ type: "lines", lines: [at(1), at(2)] });
  // Cut before the frame that would have shown them.
  last().onclose?.({ code: 1006 });
  expect(session.view.get().state).toBe("reconnecting");
  vi.advanceTimersByTime(20_000);
  expect(FakeSocket.made).toHaveLength(2);
  expect(new URL(last().url).searchParams.get("cursor")).toBe("c2");
  last().onopen?.();
  last().say({ type: "lines", lines: [at(3)] });
  last().say({ type: "end", end: { cursor: "c3", status: "succeeded", logComplete: true, more: false } });
  expect(session.buffer.rows.map((r) => r.text)).toEqual(["line 1", "line 2", "line 3"]);
  expect(session.view.get().state).toBe("ended");
  last().onclose?.({ code: 1000 });
  vi.advanceTimersByTime(60_000);
  expect(FakeSocket.made).toHaveLength(2);
});

test("a closed reading opens no more sockets", () => {
  const session = new LogSession({ execution: "e1", node: "", step: -1 });
  session.follow();
  last().onopen?.();
  session.close();
  expect(last().closed).toBe(true);
  session.follow();
  vi.advanceTimersByTime(60_000);
  expect(FakeSocket.made).toHaveLength(1);
});
