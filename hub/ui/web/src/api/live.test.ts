// @vitest-environment jsdom
import { QueryClient } from "@tanstack/react-query";
import { expect, test } from "vitest";
import type { Execution } from "./client";
import { merge, news, takeExecution } from "./live";
import { keys } from "./queries";

const base: Execution = {
  id: "e1",
  number: 7,
  project: "web",
  name: "deploy",
  status: "queued",
  logComplete: false,
  createdAt: "2026-11-22T15:04:05.123Z",
  nodes: { queued: 2 },
  url: "/executions/e1",
  startedBy: "mara",
  cancelRequested: false,
  keepgoing: true,
  kept: false,
  waitingFor: { kind: "runner", since: "2026-11-22T15:04:05.123Z", message: "no connected runner" },
  steps: [{ position: 0, kind: "exec", label: "x" }],
  nodeFilter: "tags: web",
};

test("an event keeps what only the single answer tells, and drops what is over", () => {
  const { steps: _, nodeFilter: __, waitingFor: ___, ...now } = { ...base, status: "running" as const };
  const merged = merge(base, now);
  expect(merged.steps).toEqual(base.steps);
  expect(merged.nodeFilter).toBe("tags: web");
  expect(merged.waitingFor).toBeUndefined();
  expect(merged.status).toBe("running");
});

test("rows change in place, new ones are told apart, by id and by number", () => {
  const client = new QueryClient();
  const list = [...keys.executions, { limit: 10 }];
  client.setQueryData(list, { pages: [{ items: [base] }], pageParams: [""] }, { updatedAt: 1000 });
  client.setQueryData(keys.execution("7"), base);
  news.set([]);
  takeExecution(client, { ...base, status: "running" });
  const held = client.getQueryData<{ pages: { items: Execution[] }[] }>(list);
  expect(held?.pages[0]?.items[0]?.status).toBe("running");
  expect(client.getQueryState(list)?.dataUpdatedAt).toBe(1000);
  expect(client.getQueryData<Execution>(keys.execution("7"))?.status).toBe("running");
  expect(client.getQueryData(keys.execution("e1"))).toBeUndefined();
  takeExecution(client, { ...base, id: "e2", number: 8 });
  takeExecution(client, { ...base, id: "e2", number: 8 });
  expect(news.get().map((n) => n.execution.id)).toEqual(["e1", "e2"]);
});

test("news stay bounded", () => {
  const client = new QueryClient();
  news.set([]);
  for (let i = 0; i < 500; i++) takeExecution(client, { ...base, id: `x${i}`, number: i });
  expect(news.get().length).toBe(200);
});
