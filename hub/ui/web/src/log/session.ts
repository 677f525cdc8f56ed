// One reading of a log: where it starts, what is held, and how it goes on. A running
// execution is followed over a WebSocket, and gone on with behind the last line taken,
// so that a hub that restarts costs no line and shows none twice. A finished one is
// read page by page.

import {
  type ApiError,
  api,
  errorOf,
  type LogEnd,
  type LogLine,
  type LogMessage,
  problemFrom,
  signedOut,
  socketURL,
} from "../api/client";
import { type Connection, connect } from "../api/socket";
import { createStore } from "../base/store";
import { Buffer } from "./buffer";

export interface LogQuery {
  execution: string;
  node: string;
  // step is a position, -1 for all.
  step: number;
}

export type LogState = "loading" | "idle" | "following" | "reconnecting" | "ended" | "failed";

export interface LogView {
  // version rises with each change of the buffer.
  version: number;
  state: LogState;
  // since is when following was cut, 0 otherwise.
  since: number;
  // before: lines in front of the first may exist; after: stored lines follow.
  before: boolean;
  after: boolean;
  // received counts lines since following began.
  received: number;
  end?: LogEnd;
  error?: ApiError;
}

const pageLines = 2000;
const tailMax = 100_000;

const blank: LogView = { version: 0, state: "loading", since: 0, before: false, after: false, received: 0 };

export class LogSession {
  readonly buffer: Buffer;
  readonly view = createStore<LogView>(blank);
  private socket: Connection | undefined;
  private abort: AbortController | undefined;
  private tail = 0;
  private closed = false;
  private queue: LogLine[] = [];
  private frame = 0;

  constructor(
    readonly query: LogQuery,
    limit?: number,
  ) {
    this.buffer = new Buffer(limit);
  }

  close(): void {
    this.closed = true;
    this.stop();
  }

  private stop(): void {
    this.abort?.abort();
    this.abort = undefined;
    this.socket?.close();
    this.socket = undefined;
    cancelAnimationFrame(this.frame);
    this.frame = 0;
    this.queue = [];
  }

  private tell(change: Partial<LogView>): void {
    if (this.closed) return;
    const old = this.view.get();
    this.view.set({ ...old, ...change, version: old.version + 1 });
  }

  // openStart reads from the first line, or from behind a position.
  openStart(cursor = ""): Promise<void> {
    this.stop();
    this.buffer.reset(cursor);
    this.tail = 0;
    this.tell({ ...blank, version: this.view.get().version, before: cursor !== "" });
    return this.page({ cursor, lines: pageLines });
  }

  // openEnd reads the last lines.
  openEnd(lines = pageLines): Promise<void> {
    this.stop();
    this.tail = Math.min(tailMax, lines);
    this.tell({ ...blank, version: this.view.get().version });
    return this.page({ tail: this.tail });
  }

  // earlier reads more lines in front of those of openEnd.
  earlier(): Promise<void> {
    if (this.tail === 0 || this.tail >= tailMax) return this.openStart();
    return this.openEnd(this.tail * 4);
  }

  // more reads the page behind the last line.
  async more(): Promise<void> {
    const view = this.view.get();
    if (view.state === "loading" || !view.after) return;
    this.tell({ state: "loading" });
    await this.page({ cursor: this.buffer.cursor, lines: pageLines });
  }

  private async page(range: { cursor?: string; lines?: number; tail?: number }): Promise<void> {
    const abort = new AbortController();
    this.abort = abort;
    try {
      const { lines, end } = await this.fetchPage(range, abort.signal);
      if (abort.signal.aborted) return;
      if (range.tail !== undefined) this.buffer.reset();
      this.buffer.append(lines);
      if (end?.cursor) this.buffer.cursor = end.cursor;
      // A tail that is full has something in front of it, unless it starts the log.
      const before = range.tail !== undefined ? lines.length >= range.tail : this.view.get().before;
      this.tell({ state: "idle", before, after: end?.more ?? false, ...(end ? { end } : {}) });
    } catch (cause) {
      if (!abort.signal.aborted) this.tell({ state: "failed", error: errorOf(cause) });
    }
  }

  private async fetchPage(range: { cursor?: string; lines?: number; tail?: number }, signal: AbortSignal) {
    const { node, step, execution } = this.query;
    const query: Record<string, string | number> = { format: "ndjson" };
    if (node) query.node = node;
    if (step >= 0) query.step = step;
    if (range.cursor) query.cursor = range.cursor;
    if (range.lines) query.lines = range.lines;
    if (range.tail) query.tail = range.tail;
    const answer = await api.GET("/api/v1/executions/{id}/log", {
      params: { path: { id: execution }, query: query as { format: "ndjson" } },
      parseAs: "text",
      signal,
    });
    if (!answer.response.ok) throw problemFrom(answer.error, answer.response.status);
    return parsePage(answer.data ?? "");
  }

  // follow goes on live behind the last line held.
  follow(): void {
    if (this.socket || this.closed) return;
    const { node, step, execution } = this.query;
    let finished = false;
    this.socket = connect({
      url: () => {
        const query: Record<string, string> = {};
        if (node) query.node = node;
        if (step >= 0) query.step = String(step);
        // What waits to be shown is taken already.
        const cursor = this.queue.at(-1)?.cursor ?? this.buffer.cursor;
        if (cursor) query.cursor = cursor;
        return socketURL(`/api/v1/executions/${encodeURIComponent(execution)}/log/stream`, query);
      },
      link: (state, since) => {
        if (state === "live") this.tell({ state: "following", since: 0, after: false });
        if (state === "lost") this.tell({ state: "reconnecting", since });
      },
      refused: () => signedOut.set(true),
      finished: () => finished,
      message: (data) => {
        const message = JSON.parse(data) as LogMessage;
        if (message.lines) this.take(message.lines);
        if (message.type === "end") {
          finished = true;
          this.flush();
          this.socket?.close();
          this.socket = undefined;
          this.tell({ state: "ended", since: 0, ...(message.end ? { end: message.end } : {}) });
        }
      },
    });
  }

  // take gathers lines until the next frame: a fast log repaints 60 times a second,
  // not once per message. A hidden page gets no frames, so a long queue is taken too.
  private take(lines: LogLine[]): void {
    for (const line of lines) this.queue.push(line);
    // What will be dropped anyway is not worth the work of showing it.
    if (this.queue.length > 4 * this.buffer.limit) this.flush();
    else if (this.frame === 0) this.frame = requestAnimationFrame(() => this.flush());
  }

  private flush(): void {
    cancelAnimationFrame(this.frame);
    this.frame = 0;
    if (this.queue.length === 0) return;
    const lines = this.queue;
    this.queue = [];
    this.buffer.append(lines);
    this.tell({ received: this.view.get().received + lines.length });
  }
}

// parsePage reads NDJSON: lines, and at the very end the end.
export function parsePage(text: string): { lines: LogLine[]; end?: LogEnd } {
  const lines: LogLine[] = [];
  let end: LogEnd | undefined;
  for (const record of text.split("\n")) {
    if (record === "") continue;
    const value = JSON.parse(record) as LogLine & { end?: LogEnd };
    if (value.end) end = value.end;
    else lines.push(value);
  }
  return end ? { lines, end } : { lines };
}
