// One reading of a log: where it starts, what is held, and how it goes on. A running
// execution is followed over a WebSocket, or over plain HTTP where none comes through,
// and gone on with behind the last line taken, so that a hub that restarts costs no line
// and shows none twice. A finished one is read page by page.

import {
  type ApiError,
  api,
  errorOf,
  type LogEnd,
  type LogLine,
  type LogMessage,
  problemFrom,
  signedIn,
  signedOut,
  socketURL,
} from "../api/client";
import { given } from "../api/queries";
import { type Connection, connect } from "../api/socket";
import { createStore } from "../base/store";
import { Buffer, type Row } from "./buffer";
import { parseRecords, readRecords } from "./records";

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

// Range is what one page holds: back counts lines in front of the cursor.
interface Range {
  cursor?: string;
  lines?: number;
  tail?: number;
  back?: number;
}

const pageLines = 2000;
const aroundLines = 200;
// backMax is how far in front of a position the hub goes in one answer.
const backMax = 100_000;

const blank: LogView = { version: 0, state: "loading", since: 0, before: false, after: false, received: 0 };

export class LogSession {
  readonly buffer: Buffer;
  readonly view = createStore<LogView>(blank);
  private socket: Connection | undefined;
  private abort: AbortController | undefined;
  // up is the reading of lines in front of those held.
  private up: AbortController | undefined;
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
    this.up?.abort();
    this.up = undefined;
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
    this.tell({ ...blank, version: this.view.get().version, before: cursor !== "" });
    return this.page({ cursor, lines: pageLines });
  }

  // openAround reads what stands around a position.
  async openAround(before: string): Promise<void> {
    if (before === "") return this.openStart();
    this.stop();
    this.buffer.reset(before);
    this.tell({ ...blank, version: this.view.get().version, before: true });
    await this.page({ cursor: before, back: aroundLines, lines: pageLines });
  }

  // firstFailure is the position in front of what the step that failed first printed,
  // undefined when it printed nothing.
  async firstFailure(): Promise<string | undefined> {
    const answer = await api.GET("/api/v1/executions/{id}/log/failure", {
      params: { path: { id: this.query.execution } },
    });
    if (!answer.data) throw problemFrom(answer.error, answer.response.status);
    return answer.data.before;
  }

  // openEnd reads the last lines, and one more: its own position is that in front of the next.
  openEnd(): Promise<void> {
    this.stop();
    this.tell({ ...blank, version: this.view.get().version });
    return this.page({ tail: pageLines + 1 });
  }

  // earlier puts lines in front of those held, as many again; what is held is not read
  // anew, and following goes on. It throws what the hub said when it cannot.
  async earlier(): Promise<void> {
    const { buffer } = this;
    const first = buffer.rows[0];
    if (this.up || !first) return;
    const n = Math.min(Math.max(pageLines, buffer.rows.length), buffer.limit - buffer.rows.length, backMax - 1);
    // The window is full: it moves.
    if (n <= 0) return this.openAround(first.before);
    const up = new AbortController();
    this.up = up;
    try {
      const lines = await this.leading(first, n + 1, up.signal);
      if (!up.signal.aborted && buffer.rows[0] === first) await this.putInFront(lines, n, first.before);
    } catch (cause) {
      if (!up.signal.aborted) throw cause;
    } finally {
      if (this.up === up) this.up = undefined;
    }
  }

  // leading reads at most n lines that lead to a row. Near the start there are fewer: the
  // answer is left at the row's position, or at its own line where the position came from a
  // link, for what follows is held. Where several runners print, the hub may tell lines in
  // another order than that in which they came live, and none leads there.
  private async leading({ before, line: held }: Row, n: number, signal: AbortSignal): Promise<LogLine[]> {
    const lines: LogLine[] = [];
    for await (const part of readRecords(await this.ask({ cursor: before, back: n, lines: n + 1 }, signal)))
      for (const line of part.lines) {
        if (line.cursor === held.cursor) return lines;
        lines.push(line);
        if (line.cursor === before) return lines;
      }
    return [];
  }

  // inFront counts the lines of an answer in front of a position, -1 where none leads
  // there. One place has several positions: behind the last line of a chunk or in front of
  // the first of the next, and any between two lines where those of other nodes are left
  // out. The line behind it is known again by its own.
  private async inFront(lines: LogLine[], position: string, signal: AbortSignal): Promise<number> {
    const last = lines.findIndex((line) => line.cursor === position);
    if (last >= 0) return last + 1;
    const [next] = (await this.fetchPage({ cursor: position, lines: 1 }, signal)).lines;
    return next ? lines.findIndex((line) => line.cursor === next.cursor) : lines.length;
  }

  // putInFront takes lines that lead to a position, and reads around it if there are none.
  private async putInFront(taken: LogLine[], n: number, position: string): Promise<void> {
    if (taken.length === 0) return this.openAround(position);
    const before = taken.length > n ? (taken.shift()?.cursor ?? "") : "";
    this.buffer.prepend(before, taken);
    this.tell({ before: before !== "" });
  }

  // more reads the page behind the last line.
  async more(): Promise<void> {
    const view = this.view.get();
    // What is followed comes by itself, and would come twice.
    if (this.socket || view.state === "loading" || !view.after) return;
    this.tell({ state: "loading" });
    await this.page({ cursor: this.buffer.cursor, lines: pageLines });
  }

  private async page(range: Range): Promise<void> {
    const abort = new AbortController();
    this.abort = abort;
    try {
      const { lines, end } = await this.fetchPage(range, abort.signal);
      const { cursor, back } = range;
      const middle = back !== undefined && cursor ? await this.inFront(lines, cursor, abort.signal) : -1;
      if (abort.signal.aborted) return;
      let { before } = this.view.get();
      if (range.tail !== undefined || back !== undefined) {
        before = back === undefined ? lines.length >= (range.tail ?? 0) : middle < 0 || middle >= back;
        const front = middle > 0 ? lines.splice(0, middle) : [];
        const first = front.length > 0 ? front : lines;
        // The position in front of the first line is not told: it is given up for its own.
        this.buffer.reset(before ? (first.shift()?.cursor ?? cursor) : "");
        this.buffer.append(front);
        // The row has the position that was asked for, by which it is found.
        if (middle >= 0 && cursor) this.buffer.cursor = cursor;
      }
      this.buffer.append(lines);
      if (end?.cursor) this.buffer.cursor = end.cursor;
      this.tell({ state: "idle", before, after: end?.more ?? false, ...(end ? { end } : {}) });
    } catch (cause) {
      if (!abort.signal.aborted) this.tell({ state: "failed", error: errorOf(cause) });
    }
  }

  private async fetchPage(range: Range, signal: AbortSignal) {
    return parseRecords(await new Response(await this.ask(range, signal)).text());
  }

  private async ask(range: Range, signal: AbortSignal): Promise<ReadableStream<Uint8Array>> {
    const { node, step, execution } = this.query;
    const query: Record<string, string | number> = { format: "ndjson" };
    if (node) query.node = node;
    if (step >= 0) query.step = step;
    if (range.cursor) query.cursor = range.cursor;
    if (range.lines) query.lines = range.lines;
    if (range.tail) query.tail = range.tail;
    if (range.back && range.cursor) query.back = range.back;
    const answer = await api.GET("/api/v1/executions/{id}/log", {
      params: { path: { id: execution }, query: query as { format: "ndjson" } },
      parseAs: "stream",
      signal,
    });
    if (!answer.response.ok) throw problemFrom(answer.error, answer.response.status);
    return answer.data ?? new ReadableStream({ start: (control) => control.close() });
  }

  // follow goes on live behind the last line held.
  follow(): void {
    if (this.socket || this.closed || this.refused()) return;
    const path = `/api/v1/executions/${encodeURIComponent(this.query.execution)}/log`;
    let finished = false;
    const take = (lines: LogLine[], end: LogEnd | undefined) => {
      this.take(lines);
      if (!end) return;
      finished = true;
      this.leave({ state: "ended", since: 0, end });
    };
    const following = connect({
      url: () => socketURL(`${path}/stream`, this.where()),
      link: (state, since) => {
        if (state === "live") this.tell({ state: "following", since: 0, after: false });
        if (state === "lost") this.tell({ state: "reconnecting", since });
      },
      refused: () => {
        signedOut.set(true);
        void signedIn().then(() => {
          if (this.socket !== following) return;
          this.socket = undefined;
          this.follow();
        });
      },
      finished: () => finished,
      message: (data) => {
        const message = JSON.parse(data) as LogMessage;
        take(message.lines ?? [], message.type === "end" ? message.end : undefined);
      },
      instead: (signal, live) => this.stream(path, signal, live, take),
    });
    this.socket = following;
  }

  // stream follows over plain HTTP where no socket comes through. Its answer also says
  // what a socket cannot: that the hub refuses, and why.
  private async stream(
    path: string,
    signal: AbortSignal,
    live: () => void,
    take: (lines: LogLine[], end: LogEnd | undefined) => void,
  ): Promise<boolean> {
    const query = new URLSearchParams({ format: "ndjson", follow: "true", ...this.where() });
    try {
      const answer = await fetch(`${path}?${query}`, { signal });
      if (!answer.ok || !answer.body) return this.retries(answer);
      live();
      for await (const { lines, end } of readRecords(answer.body)) {
        if (signal.aborted) return false;
        take(lines, end);
        if (end) return false;
      }
    } catch {
      // Cut, or nobody answered: both pass.
    }
    return !signal.aborted;
  }

  // retries tells whether a refusal may pass by itself, and shows the one that does not.
  private async retries(answer: Response): Promise<boolean> {
    if (answer.status === 401) {
      signedOut.set(true);
      await signedIn();
      return true;
    }
    if (answer.status >= 500 || answer.status === 429) return true;
    const problem: unknown = await answer.json().catch(() => undefined);
    this.leave({ state: "failed", since: 0, error: problemFrom(problem, answer.status) });
    return false;
  }

  // refused: a hub that said no will say no again; one that was away is worth trying.
  private refused(): boolean {
    const { state, error } = this.view.get();
    return state === "failed" && error !== undefined && error.status >= 400 && error.status < 500;
  }

  // leave ends following.
  private leave(change: Partial<LogView>): void {
    this.flush();
    this.socket?.close();
    this.socket = undefined;
    this.tell(change);
  }

  // where says what is read, from behind the last line taken, shown or not.
  private where(): Record<string, string> {
    const { node, step } = this.query;
    const cursor = this.queue.at(-1)?.cursor ?? this.buffer.cursor;
    return given({ node, step: step >= 0 ? String(step) : "", cursor });
  }

  // take gathers lines until the next frame: a fast log repaints 60 times a second,
  // not once per message. A hidden page gets no frames, so a long queue is taken too.
  private take(lines: LogLine[]): void {
    if (lines.length === 0) return;
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
