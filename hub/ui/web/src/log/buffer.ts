// The lines that the viewer holds: a window of the log, never the whole of a big one.

import type { LogLine } from "../api/client";
import { carry, plain } from "./ansi";

export interface Row {
  // key is stable for as long as the row is held.
  key: number;
  // before is the position in front of the row ("" is the start), for its address.
  before: string;
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
    this.cursor = cursor;
    this.open.clear();
    this.colours.clear();
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
    const cell = `${line.node}\u0000${line.step}\u0000${line.try}\u0000${line.stream}`;
    const open = this.open.get(cell);
    const before = this.cursor;
    this.cursor = line.cursor;
    if (open && open.text.length + line.text.length <= joinLimit) {
      this.grow(open, cell, line);
      return;
    }
    const sgr = this.colours.get(cell) ?? "";
    const row: Row = { key: this.next++, before, line, sgr, continued: open !== undefined, text: line.text };
    this.rows.push(row);
    this.settle(row, cell, line);
  }

  private grow(row: Row, cell: string, line: LogLine): void {
    row.text += line.text;
    row.line = {
      ...row.line,
      masked: row.line.masked || line.masked,
      truncated: row.line.truncated || line.truncated,
      partial: line.partial,
    };
    this.settle(row, cell, line);
  }

  private settle(row: Row, cell: string, line: LogLine): void {
    if (line.partial) this.open.set(cell, row);
    else this.open.delete(cell);
    const sgr = carry(this.colours.get(cell) ?? "", line.text);
    if (sgr === "") this.colours.delete(cell);
    else this.colours.set(cell, sgr);
  }
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
