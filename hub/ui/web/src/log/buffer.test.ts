import { expect, test } from "vitest";
import type { LogLine } from "../api/client";
import { Buffer, find, holds } from "./buffer";

function line(n: number, text: string, more: Partial<LogLine> = {}): LogLine {
  return {
    cursor: `c${n}`,
    node: "web1",
    step: 0,
    try: 1,
    stream: "stdout",
    time: "2026-11-22T15:04:05.123Z",
    line: n,
    text,
    ...more,
  };
}

test("rows know the position in front of them", () => {
  const b = new Buffer();
  b.append([line(1, "a"), line(2, "b")]);
  expect(b.rows.map((r) => r.before)).toEqual(["", "c1"]);
  expect(b.cursor).toBe("c2");
});

test("pieces of a line are joined across other nodes' lines", () => {
  const b = new Buffer();
  b.append([line(1, "Pass", { partial: true }), line(2, "other", { node: "web2" }), line(3, "word:")]);
  expect(b.rows.map((r) => r.text)).toEqual(["Password:", "other"]);
  b.append([line(4, "next")]);
  expect(b.rows.map((r) => r.text)).toEqual(["Password:", "other", "next"]);
});

test("streams of a cell are not mixed", () => {
  const b = new Buffer();
  b.append([line(1, "out", { partial: true }), line(2, "err", { stream: "stderr" })]);
  expect(b.rows).toHaveLength(2);
});

test("a line of megabytes stays many rows that say so", () => {
  const b = new Buffer();
  const piece = "x".repeat(3000);
  b.append([line(1, piece, { partial: true }), line(2, piece, { partial: true }), line(3, piece)]);
  expect(b.rows.map((r) => r.continued)).toEqual([false, true, true]);
});

test("colours go on in the next line of the same cell only", () => {
  const b = new Buffer();
  b.append([line(1, "\x1b[31mred"), line(2, "plain", { node: "web2" }), line(3, "still red\x1b[0m"), line(4, "plain")]);
  expect(b.rows.map((r) => r.sgr)).toEqual(["", "", "\x1b[31m", ""]);
});

test("the oldest rows go beyond the limit, and are counted", () => {
  const b = new Buffer(100);
  b.append(Array.from({ length: 250 }, (_, i) => line(i, String(i))));
  expect(b.rows.length).toBeLessThanOrEqual(100);
  expect(b.dropped + b.rows.length).toBe(250);
  expect(b.rows.at(-1)?.text).toBe("249");
  expect(new Set(b.rows.map((r) => r.key)).size).toBe(b.rows.length);
});

test("find looks through colours, any case", () => {
  const b = new Buffer();
  b.append([line(1, "\x1b[31mFa\x1b[0milED"), line(2, "ok")]);
  expect(find(b.rows, "failed")).toEqual([0]);
  expect(find(b.rows, "")).toEqual([]);
});

test("lines put in front leave what is held as it was, keys and all", () => {
  const b = new Buffer();
  b.reset("c2");
  b.append([line(3, "c"), line(4, "d", { partial: true })]);
  const held = b.rows.map((r) => r.key);
  b.prepend("", [line(1, "a"), line(2, "b")]);
  expect(b.rows.map((r) => r.text)).toEqual(["a", "b", "c", "d"]);
  expect(b.rows.map((r) => r.before)).toEqual(["", "c1", "c2", "c3"]);
  expect(b.rows.slice(2).map((r) => r.key)).toEqual(held);
  expect([b.added, b.cursor]).toEqual([2, "c4"]);
  b.append([line(5, "e")]);
  expect(b.rows.at(-1)).toMatchObject({ text: "de", before: "c3" });
});

test("what is put in front leaves its colours on, and its open line goes on", () => {
  const whole = [
    line(1, "\x1b[31mred"),
    line(2, "still red"),
    line(3, "Pass", { partial: true }),
    line(4, "of another node", { node: "web2" }),
    line(5, "word:\x1b[0m"),
    line(6, "plain"),
  ];
  const once = new Buffer();
  once.append(whole);
  for (let cut = 1; cut < whole.length; cut++) {
    const b = new Buffer();
    b.reset(`c${cut}`);
    b.append(whole.slice(cut));
    b.prepend("", whole.slice(0, cut));
    const seen = ({ text, sgr, before, continued }: (typeof b.rows)[0]) => ({ text, sgr, before, continued });
    expect(b.rows.map(seen)).toEqual(once.rows.map(seen));
  }
});

test("a row holds the places in front of all of its pieces", () => {
  const pieces = [1, 2, 3].map((n) => line(n, "word", { partial: n < 3 }));
  const b = new Buffer();
  b.append(pieces.slice(1));
  b.append([line(4, "next")]);
  expect(["", "c2", "c3"].map((position) => b.rows.findIndex((row) => holds(row, position)))).toEqual([0, 0, 1]);
  b.reset("c1");
  b.append(pieces.slice(1));
  b.prepend("", pieces.slice(0, 1));
  expect(["", "c1", "c2", "c3"].map((position) => b.rows.findIndex((row) => holds(row, position)))).toEqual([
    0, 0, 0, -1,
  ]);
});

test("rows that went at the front and are put there again are no longer counted as gone", () => {
  const b = new Buffer(100);
  const all = Array.from({ length: 150 }, (_, i) => line(i, String(i)));
  b.append(all);
  const { dropped } = b;
  b.limit = 1000;
  b.prepend("c9", all.slice(10, dropped));
  expect([b.dropped, b.rows.length]).toEqual([10, 140]);
  b.prepend("", all.slice(0, 10));
  expect([b.dropped, b.rows.length]).toEqual([0, 150]);
});
