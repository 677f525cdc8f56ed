// @vitest-environment jsdom
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { signedOut } from "../api/client";
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

// aLog is a finished log, as a hub reads it; it returns what was asked for.
function aLog(size: number, named = (n: number) => `c${n}`) {
  const asked: Record<string, string>[] = [];
  vi.stubGlobal("fetch", async (request: Request) => {
    const query = new URL(request.url).searchParams;
    asked.push(Object.fromEntries(query));
    const number = (name: string) => Number(query.get(name) ?? 0);
    const position = Number(query.get("cursor")?.slice(1) ?? 0);
    const from = Math.max(0, query.has("tail") ? size - number("tail") : position - number("back"));
    const to = Math.min(size, from + (number("lines") || size));
    const lines = Array.from({ length: to - from }, (_, i) => ({ ...at(from + i + 1), cursor: named(from + i + 1) }));
    const end = { cursor: named(to), status: "failed", logComplete: true, more: to < size };
    return new Response([...lines, { end }].map(record).join(""));
  });
  return asked;
}

const span = (session: LogSession) => [texts(session)[0], texts(session).length, texts(session).at(-1)];

test("going up from the end reads what is missing alone, to the first line", async () => {
  const asked = aLog(9000);
  const session = new LogSession({ execution: "e1", node: "web1", step: 2 });
  await session.openEnd();
  expect(span(session)).toEqual(["line 7001", 2000, "line 9000"]);
  expect(session.view.get().before).toBe(true);
  expect(session.buffer.rows[0]?.before).toBe("c7000");
  await session.earlier();
  expect(span(session)).toEqual(["line 5001", 4000, "line 9000"]);
  await session.earlier();
  expect(session.view.get().before).toBe(true);
  await session.earlier();
  expect(span(session)).toEqual(["line 1", 9000, "line 9000"]);
  expect(session.buffer.rows.map((r) => r.before)).toEqual([
    "",
    ...texts(session)
      .slice(0, -1)
      .map((_, i) => `c${i + 1}`),
  ]);
  expect(session.view.get()).toMatchObject({ before: false, after: false, state: "idle" });
  const where = { format: "ndjson", node: "web1", step: "2" };
  expect(asked).toEqual([
    { ...where, tail: "2001" },
    { ...where, cursor: "c7000", back: "2001", lines: "2002" },
    { ...where, cursor: "c5000", back: "4001", lines: "4002" },
    { ...where, cursor: "c1000", back: "8001", lines: "8002" },
  ]);
});

test("a log that fits is whole, and so is what stands around one of its first lines", async () => {
  aLog(2000);
  const session = new LogSession({ execution: "e1", node: "", step: -1 });
  await session.openEnd();
  expect(span(session)).toEqual(["line 1", 2000, "line 2000"]);
  expect(session.view.get().before).toBe(false);
  for (const position of ["", "c1", "c199"]) {
    await session.openAround(position);
    expect(span(session)).toEqual(["line 1", 2000, "line 2000"]);
    expect(session.view.get().before).toBe(false);
  }
  await session.openAround("c500");
  expect(session.buffer.rows[0]).toMatchObject({ text: "line 302", before: "c301" });
  await session.earlier();
  expect(span(session)).toEqual(["line 1", 2000, "line 2000"]);
});

// A link to a line, and what a search found, name a place in front of it as no line in front
// of it does: "x500" is where "c500" is.
test("a place that has another name is found by the line behind it", async () => {
  aLog(3000);
  const session = new LogSession({ execution: "e1", node: "web1", step: -1 });
  await session.openAround("x500");
  expect(session.buffer.rows.find((r) => r.before === "x500")?.text).toBe("line 501");
  expect(session.buffer.rows[0]).toMatchObject({ text: "line 302", before: "c301" });
  for (const position of ["x0", "x3"]) {
    await session.openAround(position);
    expect(span(session)).toEqual(["line 1", 2000, "line 2000"]);
    expect(session.view.get().before).toBe(false);
  }
  await session.openStart("x500");
  await session.earlier();
  expect(span(session)).toEqual(["line 1", 2500, "line 2500"]);
});

test("lines that are followed are not read as a page too", async () => {
  const asked = aLog(9000);
  const session = new LogSession({ execution: "e1", node: "", step: -1 });
  await session.openAround("c500");
  session.follow();
  await session.more();
  expect([asked.length, session.view.get().after]).toEqual([1, true]);
});

test("following goes on while earlier lines are read, and two clicks are one reading", async () => {
  const asked = aLog(5000);
  const session = new LogSession({ execution: "e1", node: "", step: -1 });
  await session.openEnd();
  session.follow();
  last().onopen?.();
  const up = session.earlier();
  await session.earlier();
  last().say({ type: "lines", lines: [at(5001)] });
  await up;
  await vi.advanceTimersByTimeAsync(20);
  expect(span(session)).toEqual(["line 1001", 4001, "line 5001"]);
  expect(session.view.get().state).toBe("following");
  expect([asked.length, FakeSocket.made.length, last().closed]).toEqual([2, 1, false]);
});

test("a window that is full moves, and so does one that the answer does not lead to", async () => {
  const asked = aLog(9000);
  const session = new LogSession({ execution: "e1", node: "", step: -1 }, 2000);
  await session.openEnd();
  await session.earlier();
  expect(asked.at(-1)).toMatchObject({ cursor: "c7000", back: "200" });
  expect(session.buffer.rows.some((r) => r.before === "c7000")).toBe(true);

  const other = new LogSession({ execution: "e1", node: "", step: -1 });
  await other.openEnd();
  const elsewhere = aLog(9000, (n) => `d${n}`);
  await other.earlier();
  expect(elsewhere.map((q) => q.back)).toEqual(["2001", "200", undefined]);
  expect(new Set(texts(other)).size).toBe(texts(other).length);
});

test("what cannot be read leaves what is held, and may be tried again", async () => {
  aLog(9000);
  const session = new LogSession({ execution: "e1", node: "", step: -1 });
  await session.openEnd();
  vi.stubGlobal("fetch", async () => Response.json({ code: "unavailable", detail: "Not now." }, { status: 503 }));
  await expect(session.earlier()).rejects.toThrow("Not now.");
  expect(span(session)).toEqual(["line 7001", 2000, "line 9000"]);
  aLog(9000);
  await session.earlier();
  expect(span(session)).toEqual(["line 5001", 4000, "line 9000"]);
});

test("near the start the answer is left where what is held begins", async () => {
  aLog(3000);
  const session = new LogSession({ execution: "e1", node: "", step: -1 });
  await session.openEnd();
  const { stream, say } = body();
  vi.stubGlobal("fetch", async () => new Response(stream));
  const up = session.earlier();
  // The hub has more to say, and does not end.
  for (let n = 1; n <= 1500; n += 500) say(Array.from({ length: 500 }, (_, i) => record(at(n + i))).join(""));
  await up;
  expect(span(session)).toEqual(["line 1", 3000, "line 3000"]);
  expect(session.view.get().before).toBe(false);
});

test("following goes on behind the last line taken once somebody has signed in again", async () => {
  const session = new LogSession({ execution: "e1", node: "", step: -1 });
  session.follow();
  last().onopen?.();
  last().say({ type: "lines", lines: [at(1)] });
  last().onclose?.({ code: 4401 });
  expect(signedOut.get()).toBe(true);
  await vi.advanceTimersByTimeAsync(60_000);
  expect(FakeSocket.made).toHaveLength(1);
  signedOut.set(false);
  await vi.advanceTimersByTimeAsync(0);
  expect(FakeSocket.made).toHaveLength(2);
  expect(new URL(last().url).searchParams.get("cursor")).toBe("c1");
  last().onopen?.();
  expect(session.view.get().state).toBe("following");
  last().say({ type: "lines", lines: [at(2)] });
  await vi.advanceTimersByTimeAsync(20);
  expect(session.buffer.rows.map((r) => r.text)).toEqual(["line 1", "line 2"]);
  session.close();
});
