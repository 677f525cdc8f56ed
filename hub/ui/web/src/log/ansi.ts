// What a terminal's line looks like in a page: colours kept, everything else that a
// terminal would act on taken out, and characters that cannot be seen made visible.

import Anser from "anser";
import { seen } from "../base/shown";

export interface Span {
  text: string;
  className?: string;
  color?: string;
  // dark is the colour where the page is dark, if it is another there.
  dark?: string;
  background?: string;
  // mark is a character that would be invisible or turn the text around.
  mark?: boolean;
}

const sequences = /\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)|[PX^_][^\x1b]*\x1b\\|[ -/]*[0-~])/g;
const colour = /^\x1b\[[\d;:]*m$/;
// Ranges, as code points: controls, soft hyphen, joiners and fillers, marks and overrides
// of direction, variation selectors, the byte order mark.
const hidden = new RegExp(
  `[${[
    "\\x00-\\x08\\x0a-\\x1f\\x7f-\\x9f",
    "\\xad\\u034f\\u061c\\u115f\\u1160\\u17b4\\u17b5\\u180e",
    "\\u200b-\\u200f\\u2028-\\u202e\\u2060-\\u206f",
    "\\ufe00-\\ufe0f\\ufeff\\ufff9-\\ufffb",
  ].join("")}]`,
  "g",
);

// visible splits text at characters that cannot be seen or that change its direction.
export function visible(text: string, style: Omit<Span, "text" | "mark"> = {}): Span[] {
  const spans: Span[] = [];
  let from = 0;
  for (const match of text.matchAll(hidden)) {
    if (seen(text, match.index)) continue;
    if (match.index > from) spans.push({ ...style, text: text.slice(from, match.index) });
    spans.push({ ...style, text: picture(match[0]), mark: true });
    from = match.index + match[0].length;
  }
  if (from < text.length) spans.push({ ...style, text: text.slice(from) });
  return spans;
}

function picture(character: string): string {
  const code = character.charCodeAt(0);
  if (code < 0x20) return String.fromCharCode(0x2400 + code);
  if (code === 0x7f) return "\u2421";
  return `U+${code.toString(16).toUpperCase().padStart(4, "0")}`;
}

// within is what moves within a line: carriage return, backspace, erase, and columns.
const within = /[\r\x08]|\x1b\[(\d*)(?:;[\d;]*)?([CDGK])/;
const pieces = /\x1b\[[\d;:]*m|\x1b\[\d*(?:;[\d;]*)?[CDGK]|[\r\x08]|[\s\S]/gu;
// A sequence moves no further than this beyond what stands there.
const farthest = 1000;

// overwritten keeps what a terminal would show of a line that was written over by
// carriage returns, backspaces and erasing, as progress bars do; with its colours.
export function overwritten(text: string): string {
  if (!within.test(text)) return text;
  // Other sequences first, or their letters would take places.
  const kept = text.replace(sequences, (s) => (colour.test(s) || within.test(s) ? s : ""));
  let boxes: { character: string; sgr: string }[] = [];
  let at = 0;
  let sgr = "";
  const move = (to: number) => {
    at = Math.min(Math.max(to, 0), Math.max(boxes.length, farthest));
  };
  for (const [piece] of kept.matchAll(pieces)) {
    const moved = piece.length > 1 ? within.exec(piece) : null;
    if (colour.test(piece)) sgr = carry(sgr, piece);
    else if (piece === "\r") at = 0;
    else if (piece === "\b") move(at - 1);
    else if (moved) {
      const n = Number(moved[1] ?? "");
      if (moved[2] === "C") move(at + (n || 1));
      else if (moved[2] === "D") move(at - (n || 1));
      else if (moved[2] === "G") move((n || 1) - 1);
      else if (n === 0) boxes = boxes.slice(0, at);
      else if (n === 1) boxes = boxes.map((b, i) => (i <= at ? { character: " ", sgr: "" } : b));
      else if (n === 2) boxes = [];
    } else {
      while (boxes.length < at) boxes.push({ character: " ", sgr: "" });
      boxes[at++] = { character: piece, sgr };
    }
  }
  let out = "";
  let on = "";
  for (const box of boxes) {
    if (box.sgr !== on) out += `\x1b[0m${box.sgr}`;
    on = box.sgr;
    out += box.character;
  }
  return on === sgr ? out : `${out}\x1b[0m${sgr}`;
}

// plain is the text alone, for search and copying.
export function plain(text: string): string {
  return text.includes("\x1b") ? text.replace(sequences, "") : text;
}

// carry returns the colours that are still on after text, given those on before it.
export function carry(before: string, text: string): string {
  if (!text.includes("\x1b")) return before;
  let on = before;
  for (const match of text.matchAll(sequences)) {
    if (!colour.test(match[0])) continue;
    const codes = match[0].slice(2, -1);
    if (codes === "" || /^0+$/.test(codes)) on = "";
    else if (/^0+[;:]/.test(codes)) on = match[0];
    // Long chains come from programs that never reset; the last ones decide.
    else on = (on + match[0]).slice(-200);
  }
  return on.startsWith("\x1b") ? on : on.slice(Math.max(0, on.indexOf("\x1b")));
}

// spans turns a line into styled pieces.
export function spans(text: string, before = ""): Span[] {
  // What is left on from before holds for what is written over, too.
  const line = within.test(text) ? overwritten(before + text) : text;
  if (before === "" && !line.includes("\x1b")) return visible(line);
  const kept = (line === text ? before + line : line).replace(sequences, (s) => (colour.test(s) ? s : ""));
  const out: Span[] = [];
  for (const piece of Anser.ansiToJson(kept, { use_classes: true, remove_empty: true })) {
    out.push(...visible(piece.content, styleOf(piece)));
  }
  return out;
}

function styleOf(piece: Anser.AnserJsonEntry): Omit<Span, "text" | "mark"> {
  const style: Omit<Span, "text" | "mark"> = {};
  const classes: string[] = [];
  const [own, ink] = colourOf(piece.fg, piece.fg_truecolor);
  const [bg, ground] = colourOf(piece.bg, piece.bg_truecolor);
  if (ground) {
    // The sixteen are made to be read on the page, and not on a colour that is another's.
    style.background = css(ground);
    style.color = ink ? css(ink) : luminance(ground) > 0.18 ? "#000" : "#fff";
  } else if (ink) {
    style.color = css(readable(ink, onLight));
    const dark = css(readable(ink, onDark));
    if (dark !== style.color) style.dark = dark;
  } else if (own) classes.push(own);
  if (bg) classes.push(bg.replace("ansi-", "ansi-bg-"));
  for (const decoration of piece.decorations) {
    if (decoration !== "blink" && decoration !== "hidden") classes.push(`ansi-${decoration}`);
  }
  if (classes.length > 0) style.className = classes.join(" ");
  return style;
}

const named = /^ansi-(bright-)?(black|red|green|yellow|blue|magenta|cyan|white)$/;
const base = ["black", "red", "green", "yellow", "blue", "magenta", "cyan", "white"];

type RGB = readonly [number, number, number];

// colourOf returns a class for the sixteen colours that follow the theme, or a colour.
function colourOf(name: string | null, truecolor: string | null): [string | undefined, RGB | undefined] {
  if (!name) return [undefined, undefined];
  if (named.test(name)) return [name, undefined];
  if (name === "ansi-truecolor" && truecolor) {
    const [r = 0, g = 0, b = 0] = truecolor.split(",").map((part) => Math.min(255, Number(part) || 0));
    return [undefined, [r, g, b]];
  }
  const palette = /^ansi-palette-(\d+)$/.exec(name);
  if (!palette) return [undefined, undefined];
  const n = Number(palette[1]);
  if (n < 16) return [`ansi-${n < 8 ? "" : "bright-"}${base[n % 8]}`, undefined];
  return [undefined, paletteColour(n)];
}

function paletteColour(n: number): RGB {
  if (n >= 232) {
    const grey = 8 + (n - 232) * 10;
    return [grey, grey, grey];
  }
  const level = (v: number) => (v === 0 ? 0 : 55 + v * 40);
  const i = n - 16;
  return [level(Math.floor(i / 36)), level(Math.floor(i / 6) % 6), level(i % 6)];
}

function css(colour: RGB): string {
  return `rgb(${colour.join(", ")})`;
}

// luminance is that of WCAG, from 0 for black to 1 for white.
function luminance([r, g, b]: RGB): number {
  const [x, y, z] = [r, g, b].map((v) => (v <= 10 ? v / 3295 : ((v / 255 + 0.055) / 1.055) ** 2.4));
  return 0.2126 * (x ?? 0) + 0.7152 * (y ?? 0) + 0.0722 * (z ?? 0);
}

// Programs choose colours for the terminal of who wrote them: yellow on white, and blue on
// black, cannot be read. What is too near to the page goes towards the other end until its
// contrast is 4.5; these are the luminances at which it is.
const onLight = { toward: 0, good: (y: number) => y <= 0.17 };
const onDark = { toward: 255, good: (y: number) => y >= 0.22 };

function readable(colour: RGB, page: typeof onLight): RGB {
  for (let part = 0; part < 1; part += 0.05) {
    const [r, g, b] = colour.map((v) => Math.round(v + (page.toward - v) * part));
    const mixed: RGB = [r ?? 0, g ?? 0, b ?? 0];
    if (page.good(luminance(mixed))) return mixed;
  }
  return [page.toward, page.toward, page.toward];
}
