// A search of the whole log at the hub: pages of what it found, in order. Nothing of the
// log but those lines comes here.

import { type ApiError, api, errorOf, type LogMatch, problemFrom } from "../api/client";
import { createStore } from "../base/store";
import type { LogQuery } from "./session";

export interface Found {
  // words is what was searched, "" before a search.
  words: string;
  items: LogMatch[];
  busy: boolean;
  // next is where the search goes on, "" when it is through.
  next: string;
  // part is how much of the log was looked through, from 0 to 1.
  part: number;
  error?: ApiError;
}

const nothing: Found = { words: "", items: [], busy: false, next: "", part: 0 };

// A page of the hub ends after some time; so many are asked for before the reader is.
const atOnce = 5;
const enough = 100;

export class LogSearch {
  readonly found = createStore<Found>(nothing);
  private abort: AbortController | undefined;
  // regex: the words are a regular expression.
  regex = false;

  constructor(readonly query: LogQuery) {}

  close(): void {
    this.abort?.abort();
    this.abort = undefined;
    this.found.set(nothing);
  }

  // start looks for words from the beginning.
  start(words: string, regex: boolean): Promise<void> {
    this.close();
    this.regex = regex;
    this.found.set({ ...nothing, words });
    return this.more();
  }

  // more goes on until something was found, or a while.
  async more(): Promise<void> {
    const abort = new AbortController();
    this.abort?.abort();
    this.abort = abort;
    const { error: _, ...before } = this.found.get();
    this.found.set({ ...before, busy: true });
    const had = before.items.length;
    try {
      for (let page = 0; page < atOnce; page++) {
        await this.page(abort.signal);
        const { items, next } = this.found.get();
        if (abort.signal.aborted || next === "" || items.length >= had + enough) break;
      }
    } catch (cause) {
      if (!abort.signal.aborted) this.found.set({ ...this.found.get(), error: errorOf(cause) });
    }
    if (!abort.signal.aborted) this.found.set({ ...this.found.get(), busy: false });
  }

  private async page(signal: AbortSignal): Promise<void> {
    const { execution, node, step } = this.query;
    const before = this.found.get();
    const answer = await api.GET("/api/v1/executions/{id}/log/search", {
      params: {
        path: { id: execution },
        query: {
          q: before.words,
          regex: this.regex,
          ignoreCase: true,
          limit: enough,
          ...(before.next ? { cursor: before.next } : {}),
          ...(node ? { node: [node] } : {}),
          ...(step >= 0 ? { step } : {}),
        },
      },
      signal,
    });
    if (!answer.data) throw problemFrom(answer.error, answer.response.status);
    if (signal.aborted) return;
    const { items, next, reached, lines } = answer.data;
    this.found.set({
      ...before,
      items: [...before.items, ...items],
      next: next ?? "",
      part: lines > 0 ? reached / lines : 1,
    });
  }
}
