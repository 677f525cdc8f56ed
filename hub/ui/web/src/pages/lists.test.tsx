// @vitest-environment jsdom

import { focusManager } from "@tanstack/react-query";
import { fireEvent, screen, waitFor, within } from "@testing-library/react";
import { expect, test, vi } from "vitest";
import { type Asked, open, refused } from "../test-page";

// paged answers n items, two a page whatever is asked for.
function paged<T>(items: T[]) {
  return (asked: Asked) => {
    const first = Number(asked.query.get("cursor") ?? 0);
    const next = first + 2 < items.length ? { next: String(first + 2) } : {};
    return { items: items.slice(first, first + 2), ...next };
  };
}

test("keys are read page by page, to the last", async () => {
  const key = (n: number) => ({ path: `keys/k${n}`, type: "password", size: 8, revision: 1 });
  open("/keys", { "GET /api/v1/keys": paged([key(1), key(2), key(3)]) });
  await screen.findByText("keys/k2");
  expect(screen.queryByText("keys/k3")).toBeNull();
  fireEvent.click(screen.getByText("Show more"));
  await screen.findByText("keys/k3");
  expect(screen.queryByText("Show more")).toBeNull();
});

test("projects are all there, however many pages they fill", async () => {
  const names = ["a", "b", "c", "d", "e"].map((name) => ({ id: name, name: `project-${name}`, description: "" }));
  open("/projects", { "GET /api/v1/projects": paged(names) });
  await screen.findByText("project-e");
});

const runner = {
  id: "r1",
  name: "edge-1",
  state: "revoked",
  connected: false,
  live: 0,
  slots: 4,
  tags: [],
  projects: [],
  revision: 3,
  enrolledAt: "2026-11-22T15:04:05Z",
};

test("a revoked runner is still told of, as revoked", async () => {
  open("/runners/r1", { "GET /api/v1/runners/r1": runner });
  await screen.findByText("edge-1");
  await screen.findByText(/It is refused for ever/);
  expect(screen.queryByText("There is no such runner.")).toBeNull();
});

test("a runner that never was is not there", async () => {
  open("/runners/r9", {});
  await screen.findByText("There is no such runner.");
});

test("a hub that cannot tell of a runner does not say that there is none", async () => {
  open("/runners/r1", { "GET /api/v1/runners/r1": refused(500, "internal", "the database is away") });
  await screen.findByText("the database is away");
  expect(screen.queryByText("There is no such runner.")).toBeNull();
});

test("home says that runners could not be read, not that there are none", async () => {
  open("/", { "GET /api/v1/runners": refused(500, "internal", "the runners are away") });
  const panel = (await screen.findByText("the runners are away")).closest("section") as HTMLElement;
  expect(within(panel).queryByText("No runner is enrolled yet.")).toBeNull();
  expect(within(panel).queryByText(/0 of 0/)).toBeNull();
});

test("a runner that was taken in again serves no project, and is given one", async () => {
  const recovered = {
    ...runner,
    state: "quarantined",
    quarantined: "It was enrolled in what the database lost.",
    projects: ["00000000-0000-0000-0000-000000000000"],
  };
  const asked = open("/runners/r1", {
    "GET /api/v1/runners/r1": recovered,
    "PATCH /api/v1/runners/r1": { ...recovered, projects: ["web"] },
  });
  await screen.findByText("None yet");
  fireEvent.click(screen.getByRole("button", { name: "Edit" }));
  const inside = within(await screen.findByRole("dialog"));
  fireEvent.click(inside.getByRole("combobox", { name: "Projects it serves" }));
  fireEvent.click(await screen.findByRole("option", { name: "web" }));
  fireEvent.click(inside.getByRole("button", { name: "Save" }));
  await waitFor(() => expect(asked.find((a) => a.method === "PATCH")?.body).toMatchObject({ projects: ["web"] }));
});

test("who edits a runner that somebody changes meanwhile does not undo that without a word", async () => {
  let now: unknown = { ...runner, state: "connected", tags: ["dc1"] };
  const asked = open("/runners/r1", {
    "GET /api/v1/runners/r1": () => now,
    "PATCH /api/v1/runners/r1": refused(412, "conflict", "The runner was changed meanwhile."),
  });
  fireEvent.click(await screen.findByRole("button", { name: "Edit" }));
  const inside = within(await screen.findByRole("dialog"));
  fireEvent.change(inside.getByLabelText("Name"), { target: { value: "edge-2" } });
  now = { ...runner, state: "connected", tags: ["dc2"], revision: 4 };
  const save = () => fireEvent.click(inside.getByRole("button", { name: "Save" }));
  save();
  await inside.findByText(/Somebody changed this runner/);
  save();
  await waitFor(() => expect(asked.filter((a) => a.method === "PATCH").map((a) => a.match)).toEqual(['"3"', '"3"']));
  expect((inside.getByLabelText("Name") as HTMLInputElement).value).toBe("edge-2");
});

test("an import takes the place of the nodes that were there when it was begun", async () => {
  let revision = 7;
  const asked = open("/projects/web/nodes?import=1", {
    "GET /api/v1/projects/web/nodes": () => ({ items: [], total: revision, revision }),
    "PUT /api/v1/projects/web/nodes": refused(412, "conflict", "The nodes were changed meanwhile."),
  });
  await screen.findByText("7 nodes");
  const inside = within(await screen.findByRole("dialog"));
  fireEvent.change(inside.getByLabelText("File contents"), { target: { value: "web1: {}" } });
  revision = 8;
  vi.spyOn(Date, "now").mockReturnValue(Date.now() + 10_000);
  focusManager.setFocused(false);
  focusManager.setFocused(true);
  await screen.findByText("8 nodes");
  const press = () => fireEvent.click(inside.getByRole("button", { name: "Import" }));
  press();
  await inside.findByText("The nodes were changed meanwhile.");
  press();
  await waitFor(() => expect(asked.filter((a) => a.method === "PUT").map((a) => a.match)).toEqual(['"7"', '"8"']));
  vi.restoreAllMocks();
});

test("a mark that turns the direction of a node's name around is shown", async () => {
  const node = { name: "web\u202e21", hostname: "h", username: "", description: "", tags: [], attributes: {} };
  open("/projects/web/nodes", { "GET /api/v1/projects/web/nodes": { items: [node], total: 1, revision: 1 } });
  await screen.findByText("web[U+202E]21");
});

test("Enter in a runner's name saves it", async () => {
  const asked = open("/runners/r1", {
    "GET /api/v1/runners/r1": { ...runner, state: "connected" },
    "PATCH /api/v1/runners/r1": { ...runner, name: "edge-2", revision: 4 },
  });
  fireEvent.click(await screen.findByText("Edit"));
  const name = within(await screen.findByRole("dialog")).getByLabelText("Name");
  fireEvent.change(name, { target: { value: "edge-2" } });
  // What a browser does with that key where there is a button to send.
  const form = name.closest("form") as HTMLFormElement;
  form.requestSubmit();
  await waitFor(() => expect(asked.find((a) => a.method === "PATCH")?.body).toMatchObject({ name: "edge-2" }));
});
