import { expect, test } from "vitest";
import { carry, overwritten, plain, spans, visible } from "./ansi";

test("colours become classes that follow the theme", () => {
  expect(spans("a \x1b[1;31mred\x1b[0m b")).toEqual([
    { text: "a " },
    { text: "red", className: "ansi-red ansi-bold" },
    { text: " b" },
  ]);
  expect(spans("\x1b[38;5;9mx")).toEqual([{ text: "x", className: "ansi-bright-red" }]);
  expect(spans("\x1b[48;2;1;2;3mx")).toEqual([{ text: "x", background: "rgb(1, 2, 3)", color: "#fff" }]);
  expect(spans("\x1b[38;2;1;2;3;48;2;9;9;9mx")).toEqual([
    { text: "x", background: "rgb(9, 9, 9)", color: "rgb(1, 2, 3)" },
  ]);
});

// contrast is that of WCAG between a colour and the page behind a log.
function contrast(colour: string, page: number[]): number {
  const light = (rgb: number[]) => {
    const [r = 0, g = 0, b = 0] = rgb.map((v) =>
      v / 255 <= 0.03928 ? v / 255 / 12.92 : ((v / 255 + 0.055) / 1.055) ** 2.4,
    );
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const [a, b] = [light(colour.match(/\d+/g)?.map(Number) ?? []), light(page)];
  return (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
}

test("a colour that a program chose can be read on a light and on a dark page", () => {
  for (let n = 16; n < 256; n++) {
    const [span] = spans(`\x1b[38;5;${n}mx`);
    const ink = span?.color ?? "";
    expect(contrast(ink, [251, 252, 252]), `${n}, light`).toBeGreaterThanOrEqual(4.5);
    expect(contrast(span?.dark ?? ink, [15, 19, 24]), `${n}, dark`).toBeGreaterThanOrEqual(4.5);
  }
  // What can be read as it is stays as it is.
  expect(spans("\x1b[38;2;0;90;0mx")[0]?.color).toBe("rgb(0, 90, 0)");
  expect(spans("\x1b[38;2;255;255;0mx")[0]?.dark).toBe("rgb(255, 255, 0)");
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
  expect(visible("done ✔\ufe0f by 👩\u200d🔧, می\u200cخواهم")).toHaveLength(1);
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
