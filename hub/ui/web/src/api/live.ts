// Live changes: events go straight into the answers that pages hold. Rows that a list
// does not have are counted, not put in: nothing moves under a pointer.

import type { InfiniteData, QueryClient } from "@tanstack/react-query";
import { createStore } from "../base/store";
import { api, type Execution, type LiveEvent, must, type Runner, signedOut, socketURL } from "./client";
import { link } from "./link";
import { keys, takeMe } from "./queries";
import { type Connection, connect } from "./socket";

// News is an execution that appeared or changed its state, and when we heard of it.
export interface News {
  execution: Execution;
  at: number;
}

// news holds the latest of them, one for each execution; lists look through it.
export const news = createStore<readonly News[]>([]);

const newsMax = 200;

export function startLive(client: QueryClient): Connection {
  let greeted = false;
  let turn = 0;
  return connect({
    url: () => socketURL("/api/v1/events"),
    link: async (state, since) => {
      const mine = ++turn;
      if (state !== "lost") {
        link.set({ state, since });
        return;
      }
      if (link.get().state !== "polling") link.set({ state, since });
      // A socket fails without a word; a question has an answer.
      const answered = await ask(client);
      if (mine === turn) link.set({ state: answered ? "polling" : "lost", since });
    },
    refused: () => signedOut.set(true),
    message: (data) => {
      const event = parse(data);
      if (!event) return;
      if (event.type === "hello") {
        // Whatever happened while nobody listened is read anew.
        if (greeted) void client.invalidateQueries();
        greeted = true;
      }
      if (event.executionId) refetchMatrix(client, event.executionId, event.execution?.number);
      if (event.execution) takeExecution(client, event.execution);
      if (event.runner) takeRunner(client, event.runner);
      if (event.type === "fire" && event.job) refetchSchedules(client, event.job.project);
      if (event.type === "calendar" && event.project) refetchSchedules(client, event.project);
    },
  });
}

// ask tells whether the hub answers who we are; if that is nobody, we are signed out.
async function ask(client: QueryClient): Promise<boolean> {
  try {
    const me = await must(api.GET("/api/v1/me", { signal: AbortSignal.timeout(5_000) }));
    client.setQueryData(keys.me, takeMe(client, me));
    return true;
  } catch {
    return false;
  }
}

function parse(data: string): LiveEvent | undefined {
  try {
    return JSON.parse(data) as LiveEvent;
  } catch {
    return undefined;
  }
}

interface ExecutionPage {
  items: Execution[];
  next?: string;
}

export function takeExecution(client: QueryClient, now: Execution): void {
  for (const id of [now.id, String(now.number)]) {
    client.setQueryData<Execution>(keys.execution(id), (old) => (old ? merge(old, now) : old));
  }
  let before: Execution | undefined;
  for (const query of client.getQueryCache().findAll({ queryKey: keys.executions })) {
    const old = query.state.data as InfiniteData<ExecutionPage> | undefined;
    const found = old?.pages.flatMap((page) => page.items).find((item) => item.id === now.id);
    if (!old || !found) continue;
    before = found;
    const pages = old.pages.map((page) => ({
      ...page,
      items: page.items.map((item) => (item.id === now.id ? merge(item, now) : item)),
    }));
    // A row that changed in place does not make its list any newer.
    client.setQueryData(query.queryKey, { ...old, pages }, { updatedAt: query.state.dataUpdatedAt });
  }
  if (before?.status === now.status) return;
  const rest = news.get().filter((item) => item.execution.id !== now.id);
  news.set([...rest.slice(1 - newsMax), { execution: now, at: Date.now() }]);
}

// What only the answer about a single execution tells; events and lists leave it out.
const single = [
  "nodeFilter",
  "threadcount",
  "keepgoing",
  "strategy",
  "timeoutMs",
  "options",
  "secureOptions",
  "steps",
  "command",
] as const;

// merge keeps what the newer one does not tell. Everything else that is absent from it
// is gone, such as what it waited for.
export function merge(old: Execution, now: Execution): Execution {
  const kept = single.filter((name) => now[name] === undefined && old[name] !== undefined);
  return { ...now, ...Object.fromEntries(kept.map((name) => [name, old[name]])) };
}

// refetchMatrix reads a matrix again where a page shows it, by id or by number.
function refetchMatrix(client: QueryClient, id: string, number: number | undefined): void {
  const known =
    number ??
    client
      .getQueryCache()
      .findAll({ queryKey: ["execution"] })
      .map((q) => q.state.data as Execution | undefined)
      .find((e) => e?.id === id)?.number;
  for (const key of [id, String(known ?? "")]) {
    if (key !== "" && client.getQueryState(keys.matrix(key))) refetchSoon(client, key);
  }
}

// refetchSchedules reads anew what pages show of a project's schedules.
function refetchSchedules(client: QueryClient, project: string): void {
  void client.invalidateQueries({ queryKey: keys.schedules(project) });
}

const pending = new Map<string, ReturnType<typeof setTimeout>>();

// refetchSoon reads a matrix at most once in 700 ms, however many nodes end at once. A
// reading on its way is waited for, and another follows it: where a large matrix takes
// longer, none would end while nodes do.
function refetchSoon(client: QueryClient, id: string): void {
  if (pending.has(id)) return;
  pending.set(
    id,
    setTimeout(() => {
      pending.delete(id);
      if (client.isFetching({ queryKey: keys.matrix(id) }) > 0) refetchSoon(client, id);
      else void client.invalidateQueries({ queryKey: keys.matrix(id) });
    }, 700),
  );
}

export function takeRunner(client: QueryClient, now: Runner): void {
  for (const id of [now.id, now.name]) {
    client.setQueryData<Runner>(keys.runner(id), (old) => (old?.id === now.id ? now : old));
  }
  client.setQueryData<{ items: Runner[] }>(keys.runners, (old) => {
    if (!old) return old;
    const has = old.items.some((item) => item.id === now.id);
    if (!has && now.state === "revoked") return old;
    const items = has ? old.items.map((item) => (item.id === now.id ? now : item)) : [...old.items, now];
    return { ...old, items };
  });
}
