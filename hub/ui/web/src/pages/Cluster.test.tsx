// @vitest-environment jsdom
import { fireEvent, screen, waitFor, within } from "@testing-library/react";
import { expect, test, vi } from "vitest";
import { type Asked, type Hub, open, refused } from "../test-page";

const member = {
  id: "m1",
  name: "hub1",
  version: "1.0",
  gateway: "hub1:8441",
  address: "hub1:8441",
  roles: ["api", "gateway", "scheduler"],
  state: "active",
  startedAt: "2026-11-22T15:04:05Z",
  heartbeatAt: "2026-11-22T15:04:05Z",
  sessions: 4,
  draining: false,
  active: true,
  executionMode: "active",
  self: true,
};
const cluster = {
  id: "c1",
  incarnation: 1,
  tick: 9,
  database: "postgres",
  time: "2026-11-22T15:04:05Z",
  mode: "active-passive",
  executionMode: "active",
  members: [member, { ...member, id: "m2", name: "hub2", active: false, self: false }],
  leases: [
    { name: "scheduler", holder: "hub1", term: 3, held: true, takenAt: "2026-11-22T15:04:05Z" },
    { name: "active", holder: "hub9", term: 1, held: false, takenAt: "2026-11-22T15:04:05Z" },
  ],
  retention: { executions: 0, bytes: 0, deleting: 0 },
  quota: { logBytes: 0, executionLogBytes: 0, usedBytes: 0, over: false, near: false, revision: 1 },
};
const held = {
  ...cluster,
  recovery: {
    kind: "restore",
    since: "2026-11-22T15:04:05Z",
    reason: "A backup was restored.",
    held: 12,
    awaited: [{ id: "r1", name: "edge-1", lastSeenAt: "2026-11-22T15:04:05Z" }],
  },
};

// answering is a hub whose cluster is as it was told last.
function answering(...later: [request: string, then: unknown][]): Hub {
  let now: unknown = cluster;
  const hub: Hub = { "GET /api/v1/cluster": () => now };
  for (const [request, then] of later)
    hub[request] = () => {
      now = then;
      return then;
    };
  return hub;
}

const changes = (asked: Asked[]) => asked.filter((a) => a.method !== "GET").map((a) => [a.method, a.path, a.body]);
const confirm = (answer: boolean) => vi.spyOn(window, "confirm").mockReset().mockReturnValue(answer);
const choose = async (name: string, what: string) => {
  fireEvent.click(await screen.findByRole("button", { name: `What can be done with ${name}` }));
  fireEvent.click(await screen.findByRole("menuitem", { name: what }));
};
const [first, second] = cluster.members;

test.each([
  ["hub2", "Make it the active member", "in the place of hub1", ["POST", "/api/v1/cluster/promote", { member: "m2" }]],
  ["hub1", "Drain", "move to other members", ["PATCH", "/api/v1/cluster/members/m1", { draining: true }]],
  [
    "hub1",
    "Let no schedule fire on it",
    "Another member",
    ["PATCH", "/api/v1/cluster/members/m1", { executionMode: "passive" }],
  ],
])("of %s: %s is asked for with what will happen, and done", async (name, what, told, sent) => {
  const then = { ...cluster, members: [first, { ...second, name: "hub2-then" }] };
  const asked = open("/cluster", answering([`${sent[0]} ${sent[1]}`, then]));
  const question = confirm(true);
  await choose(name, what);
  expect(question).toHaveBeenCalledWith(expect.stringContaining(told));
  await screen.findByText("hub2-then");
  expect(changes(asked)).toEqual([sent]);
});

test("nothing is changed without a yes", async () => {
  const asked = open("/cluster", answering());
  confirm(false);
  await choose("hub1", "Drain");
  fireEvent.click(screen.getByRole("button", { name: "Let none fire" }));
  expect(changes(asked)).toEqual([]);
});

test("what was done to a member is shown, and can be undone", async () => {
  const drained = { ...cluster, members: [{ ...member, draining: true, executionMode: "passive" }, second] };
  const asked = open("/cluster", {
    "GET /api/v1/cluster": drained,
    "PATCH /api/v1/cluster/members/m1": refused(409, "conflict", "Member hub1 is gone."),
  });
  confirm(true);
  await screen.findByText("Drained");
  screen.getByText("No schedule fires here");
  await choose("hub1", "Bring it back");
  await screen.findByText("Member hub1 is gone.");
  expect(changes(asked)).toEqual([["PATCH", "/api/v1/cluster/members/m1", { draining: false }]]);
});

test("the last member is not drained without a word about its runners", async () => {
  open("/cluster", { "GET /api/v1/cluster": { ...cluster, mode: "active-active", members: [member] } });
  const question = confirm(false);
  await choose("hub1", "Drain");
  expect(question).toHaveBeenCalledWith(expect.stringContaining("No other member"));
  expect(screen.queryByText("Make it the active member")).toBeNull();
});

test("a hold says what it does, and is released once it was told what is open", async () => {
  const asked = open(
    "/cluster",
    answering(["POST /api/v1/cluster/hold", held], ["POST /api/v1/cluster/release", cluster]),
  );
  fireEvent.click(await screen.findByRole("button", { name: "Hold" }));
  let inside = within(await screen.findByRole("dialog"));
  inside.getByText(/no change is accepted/);
  fireEvent.click(inside.getByLabelText("A backup was put back"));
  fireEvent.change(inside.getByLabelText("Reason"), { target: { value: "of the night" } });
  fireEvent.click(inside.getByRole("button", { name: "Hold all work" }));
  fireEvent.click(await screen.findByRole("button", { name: "Release" }));
  inside = within(await screen.findByRole("dialog"));
  inside.getByText("12");
  inside.getByText("edge-1");
  fireEvent.click(inside.getByLabelText("It ends as unknown"));
  fireEvent.click(inside.getByRole("button", { name: "End it as unknown" }));
  await waitFor(() => expect(screen.queryByText("Held: the database went back in time")).toBeNull());
  expect(changes(asked)).toEqual([
    ["POST", "/api/v1/cluster/hold", { kind: "restored", reason: "of the night" }],
    ["POST", "/api/v1/cluster/release", { rest: "fail" }],
  ]);
});

test("who may not change the cluster sees it, and no button", async () => {
  open("/cluster", { "GET /api/v1/cluster": held, "GET /api/v1/me": { name: "ole", admin: false } });
  await screen.findByText("edge-1");
  const page = within(document.querySelector(".page") as HTMLElement);
  expect(page.queryAllByRole("button")).toEqual([]);
});

test("the archive is told: where it is, what waits, and why", async () => {
  const at = "2026-11-22T15:04:05Z";
  const archive = { url: "s3://logs/hub", waiting: 50, waitingBytes: 12345, failing: 2, oldestAt: at };
  const trouble = { lastError: "403 Access Denied <b>", lastErrorAt: at };
  open("/cluster", { "GET /api/v1/cluster": { ...cluster, archive: { ...archive, ...trouble } } });
  for (const text of [
    "s3://logs/hub",
    "50 logs, 12,345 bytes of text",
    "2 logs could not be archived",
    trouble.lastError,
  ])
    expect(await screen.findByText(text)).toBeTruthy();
});

test("without an archive nothing is told of one", async () => {
  open("/cluster", { "GET /api/v1/cluster": cluster });
  await screen.findByText("Installation");
  expect(screen.queryByText("Archive of logs")).toBeNull();
});

const mb = 1024 * 1024;
const at = "2026-11-22T15:04:05Z";
test.each([
  [{ logBytes: 100 * mb, usedBytes: 89 * mb }, "89 MB of 100 MB (89 %)", null],
  [{ logBytes: 100 * mb, usedBytes: 95 * mb, near: true }, "95 MB of 100 MB (95 %)", /nearly as much as they may/],
  [
    { logBytes: 100 * mb, usedBytes: 120 * mb, near: true, over: true },
    "120 MB of 100 MB (120 %)",
    /Nothing new starts/,
  ],
  [{ usedBytes: 3 * mb }, "3 MB, no limit", null],
])("what is held is told against the quota: %o", async (quota, held, warning) => {
  open("/cluster", { "GET /api/v1/cluster": { ...cluster, quota: { ...cluster.quota, countedAt: at, ...quota } } });
  await screen.findByText(held, { exact: false });
  for (const words of [/nearly as much as they may/, /Nothing new starts/])
    expect(screen.queryAllByText(words).length).toBe(String(words) === String(warning) ? 1 : 0);
});

test("what retention took away is told, and what it could not delete and why", async () => {
  const retention = { endedAt: at, executions: 12, bytes: 5 * mb, deleting: 2, lastError: "403 <b>Denied</b>" };
  open("/cluster", { "GET /api/v1/cluster": { ...cluster, retention } });
  for (const text of [
    "12 executions taken away, 5 MB of log",
    "2 executions could not be deleted",
    retention.lastError,
  ])
    expect(await screen.findByText(text, { exact: false })).toBeTruthy();
});

test("before the first count and pass that is said", async () => {
  open("/cluster", { "GET /api/v1/cluster": cluster });
  await screen.findByText("Not counted yet");
  screen.getByText("None yet");
});
