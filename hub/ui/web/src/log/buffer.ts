// The lines that the viewer holds: a window of the log, never the whole of a big one.

import type { LogLine } from "../api/client";
import { carry, plain } from "./ansi";

export interface Row {
  // key is stable for as long as the row is held.
  key: number;
  // before is the position in front of the row ("" is the start), for its address.
  before: string;
  // joined are the positions in front of the pieces that came to it.
  joined?: string[];
  line: LogLine;
  // sgr is the colours left on by the line before it in the same cell and stream.
  sgr: string;
  // continued: it goes on from a piece that ended without a newline.
  continued: boolean;
  text: string;
}

// What is joined into one row at most, in characters: a line of many megabytes stays
// many rows, or the page would stop at it.
const joinLimit = 4096;

// How many rows are held: while the end is followed nobody looks at what is far above
// it, and each new row costs time in proportion; a reader keeps more.
export const followLimit = 10_000;
export const readLimit = 100_000;

// Buffer keeps rows in order and drops the oldest beyond its limit. It is not a store:
// whoever changes it tells who watches.
export class Buffer {
  rows: Row[] = [];
  // dropped counts rows that were let go at the front.
  dropped = 0;
  // added counts rows that were put in front of those held.
  added = 0;
  // cursor is the position after the last line taken.
  cursor = "";
  private next = 0;
  // open holds, per cell and stream, the last row when its line has not ended.
  private open = new Map<string, Row>();
  private colours = new Map<string, string>();

  constructor(public limit = readLimit) {}

  reset(cursor = ""): void {
    this.rows = [];
    this.dropped = 0;
    this.added = 0;
    this.cursor = cursor;
    this.open.clear();
    this.colours.clear();
  }

  // prepend puts lines in front of those held; before is the position in front of the
  // first. Rows keep their keys, so that whoever shows them knows them again.
  prepend(before: string, lines: LogLine[]): void {
    const { rows, cursor, dropped, added } = this;
    this.reset(before);
    for (const line of lines) this.add(line);
    for (const row of rows) this.again(row);
    this.cursor = cursor;
    const came = this.rows.length - rows.length;
    this.dropped = before === "" ? 0 : Math.max(0, dropped - came);
    this.added = added + came;
  }

  append(lines: LogLine[]): void {
    for (const line of lines) this.add(line);
    const over = this.rows.length - this.limit;
    if (over > 0) {
      // A tenth more goes, so that this is rare: it copies the array.
      const cut = over + Math.floor(this.limit / 10);
      this.rows = this.rows.slice(cut);
      this.dropped += cut;
    }
  }

  private add(line: LogLine): void {
    const before = this.cursor;
    this.cursor = line.cursor;
    if (this.grow(line, line.text, [before])) return;
    const cell = cellOf(line);
    const sgr = this.colours.get(cell) ?? "";
    const continued = this.open.has(cell);
    this.settle({ key: this.next++, before, line, sgr, continued, text: line.text });
  }

  // again takes a row anew: what is in front of it now may leave colours on, or a line open.
  private again(row: Row): void {
    if (this.grow(row.line, row.text, [row.before, ...(row.joined ?? [])])) return;
    const cell = cellOf(row.line);
    const sgr = this.colours.get(cell) ?? "";
    const continued = this.open.has(cell);
    this.settle(row.sgr === sgr && row.continued === continued ? row : { ...row, sgr, continued });
  }

  private settle(row: Row): void {
    this.rows.push(row);
    this.leave(row, row.text);
  }

  // grow joins text to the open row of its cell; false where there is none or it is full.
  private grow(line: LogLine, text: string, positions: string[]): boolean {
    const row = this.open.get(cellOf(line));
    if (!row || row.text.length + text.length > joinLimit) return false;
    row.text += text;
    row.joined = [...(row.joined ?? []), ...positions];
    row.line = {
      ...row.line,
      masked: row.line.masked || line.masked,
      truncated: row.line.truncated || line.truncated,
      partial: line.partial,
    };
    this.leave(row, text);
    return true;
  }

  // leave notes what a row leaves to the next of its cell, once text stands in it.
  private leave(row: Row, text: string): void {
    const cell = cellOf(row.line);
    if (row.line.partial) this.open.set(cell, row);
    else this.open.delete(cell);
    const sgr = carry(this.colours.get(cell) ?? "", text);
    if (sgr === "") this.colours.delete(cell);
    else this.colours.set(cell, sgr);
  }
}

const cellOf = (line: LogLine) => `${line.node}\u0000${line.step}\u0000${line.try}\u0000${line.stream}`;

// holds tells whether a row begins at a position, or one of its pieces does.
export function holds(row: Row, position: string): boolean {
  return row.before === position || (row.joined?.includes(position) ?? false);
}

// find returns the indexes of rows whose text holds the words, any case.
export function find(rows: Row[], words: string): number[] {
  if (words === "") return [];
  const wanted = words.toLowerCase();
  const hits: number[] = [];
  for (let i = 0; i < rows.length; i++) {
    const row = rows[i];
    if (row && plain(row.text).toLowerCase().includes(wanted)) hits.push(i);
  }
  return hits;
}
