// @vitest-environment jsdom
import { act, fireEvent, screen, waitFor } from "@testing-library/react";
import { expect, test } from "vitest";
import { open } from "../test-page";

const ended = {
  id: "e7",
  number: 7,
  project: "web",
  name: "uptime",
  status: "succeeded",
  logComplete: true,
  createdAt: "2026-11-22T15:04:05Z",
  nodes: { succeeded: 1 },
  steps: [],
};
const hub = {
  "GET /api/v1/keys": { items: [] },
  "GET /api/v1/executions": { items: [ended] },
  "GET /api/v1/executions/7": ended,
  "GET /api/v1/executions/7/nodes": { items: [], total: 0 },
  "GET /api/v1/executions/e7/log": "",
};

const focused = () => document.activeElement?.textContent;

test("a link leads the focus to the title of its page, also when that title comes late", async () => {
  open("/keys?prefix=keys/a", hub);
  await screen.findByText("No key's path begins so.");
  // The browser itself tells of the page that it loaded.
  expect(document.activeElement).toBe(document.body);

  fireEvent.click(screen.getAllByText("Runners")[0] as HTMLElement);
  await screen.findByText("No runner yet.");
  await waitFor(() => expect(focused()).toBe("Runners"));

  fireEvent.click(screen.getAllByText("Executions")[0] as HTMLElement);
  fireEvent.click(await screen.findByText("uptime"));
  await waitFor(() => expect(focused()).toBe("uptime #7"));
  expect(document.activeElement?.tagName).toBe("H1");
});

test("what changes in the address of the same page leaves the focus alone", async () => {
  open("/keys", hub);
  const search = await screen.findByLabelText("Path begins with");
  search.focus();
  fireEvent.change(search, { target: { value: "keys/b" } });
  await screen.findByText("No key's path begins so.");
  await act(async () => {});
  expect(document.activeElement).toBe(search);
});

test("an address that is no page is told within the frame", async () => {
  open("/nowhere/at/all", hub);
  await screen.findByText("There is no page at this address.");
  expect(screen.getAllByText("Executions").length).toBeGreaterThan(0);
});

test("every page tells that work is held, and leads to why", async () => {
  const recovery = { kind: "planned", since: "2026-11-22T15:04:05Z", reason: "mara", held: 0, awaited: [] };
  open("/keys", { ...hub, "GET /api/v1/cluster": { recovery } });
  const why = await screen.findByText("Why, and what can be done");
  expect(why.parentElement?.textContent).toContain("Held: the database is being moved. Nothing new starts");
  expect(why.getAttribute("href")).toBe("/cluster");
});
