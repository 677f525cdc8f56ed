import { expect, test } from "vitest";
import { carry, overwritten, plain, spans, visible } from "./ansi";

test("colours become classes that follow the theme", () => {
  expect(spans("a \x1b[1;31mred\x1b[0m b")).toEqual([
    { text: "a " },
    { text: "red", className: "ansi-red ansi-bold" },
    { text: " b" },
  ]);
  expect(spans("\x1b[38;5;9mx")).toEqual([{ text: "x", className: "ansi-bright-red" }]);
  expect(spans("\x1b[48;2;1;2;3mx")).toEqual([{ text: "x", background: "rgb(1, 2, 3)" }]);
  expect(spans("\x1b[38;5;196mx")).toEqual([{ text: "x", color: "rgb(255, 0, 0)" }]);
});

test("what would move a cursor, set a title or make a link is taken out", () => {
  expect(spans("\x1b[2Ja\x1b[10;3Hb\x1b]0;title\x07c\x1b]8;;http://evil\x1b\\d\x1b]8;;\x1b\\")).toEqual([
    { text: "abcd" },
  ]);
});

test("characters that hide or turn text are shown", () => {
  expect(visible("a\u202eb\u200b\x07")).toEqual([
    { text: "a" },
    { text: "U+202E", mark: true },
    { text: "b" },
    { text: "U+200B", mark: true },
    { text: "␇", mark: true },
  ]);
  expect(visible("tab\tstays, so do ä and 日本 and 👍")).toHaveLength(1);
});

test("markup stays text", () => {
  expect(spans("<img src=x onerror=alert(1)>")).toEqual([{ text: "<img src=x onerror=alert(1)>" }]);
  expect(spans("\x1b[31m<b>&amp;")).toEqual([{ text: "<b>&amp;", className: "ansi-red" }]);
});

test("a progress bar shows its last state", () => {
  expect(overwritten("10%\r50%\r100%")).toBe("100%");
  expect(overwritten("done\r")).toBe("done");
  expect(overwritten("a long line\rshort")).toBe("shortg line");
  expect(overwritten("a long line\r\x1b[Kshort")).toBe("short");
  expect(overwritten("wait -\b\\\b|")).toBe("wait |");
  expect(overwritten("ab\x1b[2K\rc")).toBe("c");
  expect(overwritten("abcdef\x1b[3Dx")).toBe("abcxef");
  expect(overwritten("a\x1b[999999999Cb")).toHaveLength(1001);
  expect(overwritten("\x1b]0;title\x07x\ry")).toBe("y");
  expect(spans("\x1b[31m10%\r\x1b[32m100%")).toEqual([{ text: "100%", className: "ansi-green" }]);
  expect(spans("10%\r20%", "\x1b[1m")).toEqual([{ text: "20%", className: "ansi-bold" }]);
});

test.each([
  ["", "\x1b[31mred", "\x1b[31m"],
  ["\x1b[31m", "still", "\x1b[31m"],
  ["\x1b[31m", "x\x1b[0my", ""],
  ["\x1b[31m", "x\x1b[my", ""],
  ["\x1b[31m", "x\x1b[0;32my", "\x1b[0;32m"],
  ["", "\x1b[2Jno colour", ""],
])("colours carried on from %j over %j are %j", (before, text, after) => {
  expect(carry(before, text)).toBe(after);
});

test("colours that are never reset do not grow without end", () => {
  let on = "";
  for (let i = 0; i < 1000; i++) on = carry(on, "\x1b[1m\x1b[31m");
  expect(on.length).toBeLessThan(400);
  expect(on.startsWith("\x1b")).toBe(true);
});

test("search sees the text alone", () => {
  expect(plain("\x1b[32mo\x1b[0mk")).toBe("ok");
});
