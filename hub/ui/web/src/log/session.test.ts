// @vitest-environment jsdom
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { LogSession } from "./session";

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

// A body that a test writes to, as a hub does.
function body() {
  const pipe = new TransformStream<Uint8Array, Uint8Array>(undefined, undefined, { highWaterMark: 100 });
  const writer = pipe.writable.getWriter();
  return {
    stream: pipe.readable,
    say: (text: string) => void writer.write(new TextEncoder().encode(text)),
    cut: () => void writer.abort(new TypeError("cut")).catch(() => {}),
  };
}

const record = (value: unknown) => `${JSON.stringify(value)}\n`;
const texts = (session: LogSession) => session.buffer.rows.map((r) => r.text);

test("where no socket comes through it is followed over plain HTTP, and on from there after a cut", async () => {
  const bodies = [body(), body()];
  const asked: URLSearchParams[] = [];
  vi.stubGlobal("fetch", async (address: string) => {
    asked.push(new URL(address, "http://hub").searchParams);
    return new Response(bodies[asked.length - 1]?.stream);
  });
  const session = new LogSession({ execution: "e1", node: "web1", step: 2 });
  session.follow();
  last().onclose?.({ code: 1006 });
  await vi.advanceTimersByTimeAsync(0);
  expect(session.view.get().state).toBe("following");
  expect(Object.fromEntries(asked[0] ?? [])).toEqual({ format: "ndjson", follow: "true", node: "web1", step: "2" });
  // Records come in whatever pieces the network makes of them.
  const two = record(at(1)) + record({ ...at(2), text: "zwölf" });
  bodies[0]?.say(two.slice(0, 30));
  bodies[0]?.say(two.slice(30));
  bodies[0]?.say("\n");
  await vi.advanceTimersByTimeAsync(20);
  expect(texts(session)).toEqual(["line 1", "zwölf"]);

  bodies[0]?.say('{"cursor":"c3","te');
  bodies[0]?.cut();
  await vi.advanceTimersByTimeAsync(0);
  expect(session.view.get().state).toBe("reconnecting");
  await vi.advanceTimersByTimeAsync(1000);
  expect(new URL(last().url).searchParams.get("cursor")).toBe("c2");
  last().onclose?.({ code: 1006 });
  await vi.advanceTimersByTimeAsync(0);
  expect(asked[1]?.get("cursor")).toBe("c2");
  bodies[1]?.say(record(at(3)) + record({ end: { cursor: "c3", status: "failed", logComplete: true, more: false } }));
  await vi.advanceTimersByTimeAsync(0);
  expect(texts(session)).toEqual(["line 1", "zwölf", "line 3"]);
  expect(session.view.get()).toMatchObject({ state: "ended", end: { status: "failed" } });
  const sockets = FakeSocket.made.length;
  await vi.advanceTimersByTimeAsync(60_000);
  expect(FakeSocket.made).toHaveLength(sockets);
});

test.each([403, 404])("a log that is refused with %d says why, and is not asked for again", async (status) => {
  vi.stubGlobal("fetch", async () => Response.json({ code: "no", title: "No", detail: "Not for you." }, { status }));
  const session = new LogSession({ execution: "e1", node: "", step: -1 });
  session.follow();
  last().onclose?.({ code: 1006 });
  await vi.advanceTimersByTimeAsync(60_000);
  expect(session.view.get()).toMatchObject({ state: "failed", error: { message: "Not for you.", status } });
  session.follow();
  expect(FakeSocket.made).toHaveLength(1);
});

test("a hub that is away is tried again", async () => {
  let tries = 0;
  vi.stubGlobal("fetch", async () => {
    if (tries++ === 0) throw new TypeError("refused");
    return new Response("", { status: 503 });
  });
  const session = new LogSession({ execution: "e1", node: "", step: -1 });
  session.follow();
  for (let i = 0; i < 3; i++) {
    last().onclose?.({ code: 1006 });
    await vi.advanceTimersByTimeAsync(15_000);
    expect(FakeSocket.made).toHaveLength(i + 2);
  }
  expect(session.view.get().state).toBe("reconnecting");
});
