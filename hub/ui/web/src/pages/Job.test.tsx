// @vitest-environment jsdom
import { fireEvent, screen, waitFor } from "@testing-library/react";
import { expect, test } from "vitest";
import { type Asked, type Hub, open, refused } from "../test-page";

const job = {
  id: "j1",
  uuid: "u",
  project: "web",
  name: "restart",
  group: "ops",
  description: "",
  revision: 1,
  updatedAt: "2026-11-22T15:04:05Z",
  createdAt: "2026-11-22T15:04:05Z",
  logLevel: "INFO",
  timeout: "",
  strategy: "node-first",
  keepgoing: false,
  options: [],
  steps: [],
  runnerTags: [],
  source: "",
  dispatch: { nodes: true, filter: "tags: web", editable: false },
};
const last = {
  id: "e7",
  number: 7,
  project: "web",
  name: "ops/restart",
  status: "failed",
  logComplete: true,
  createdAt: "2026-11-22T15:04:05Z",
  nodes: { failed: 1, succeeded: 1 },
  job: { id: "j1", name: "restart", group: "ops", revision: 1 },
};
const rows = [
  { node: "web1", position: 0, status: "succeeded", steps: [] },
  { node: "web2", position: 1, status: "failed", steps: [] },
  { node: "web3", position: 2, status: "timed_out", steps: [] },
  { node: "web4", position: 3, status: "unknown", steps: [] },
];

function hub(matrix: unknown): Hub {
  return {
    "GET /api/v1/projects/web/jobs/j1": job,
    "GET /api/v1/projects/web/nodes": { items: [], total: 0 },
    "GET /api/v1/executions/7": last,
    "GET /api/v1/executions/7/nodes": matrix,
    "POST /api/v1/projects/web/jobs/j1/executions": { ...last, id: "e8", number: 8 },
  };
}

const runs = (asked: Asked[]) => asked.filter((a) => a.method === "POST");
const again = "/projects/web/jobs/j1?from=7&only=failed";
const runNow = async () => (await screen.findByRole("button", { name: "Run now" })) as HTMLButtonElement;

test("running again where it failed sends exactly those nodes", async () => {
  const asked = open(again, hub({ items: rows, total: 4 }));
  await screen.findByText(/Only on the 2 nodes that failed in execution #7: web2, web3/);
  fireEvent.click(await runNow());
  await waitFor(() => expect(runs(asked)).toHaveLength(1));
  expect(runs(asked)[0]?.body).toMatchObject({ nodes: ["web2", "web3"] });
});

test("running again what ran on named nodes runs on those", async () => {
  const asked = open("/projects/web/jobs/j1?from=7", {
    ...hub({ items: rows, total: 4 }),
    "GET /api/v1/executions/7": { ...last, nodesNamed: true },
  });
  await screen.findByText(/Only on the 4 nodes of execution #7: web1, web2, web3, web4/);
  fireEvent.click(await runNow());
  await waitFor(() => expect(runs(asked)).toHaveLength(1));
  expect(runs(asked)[0]?.body).toMatchObject({ nodes: ["web1", "web2", "web3", "web4"] });
});

test("when it is not known where it failed, nothing can be run", async () => {
  const asked = open(again, hub(refused(500, "internal", "the matrix is away")));
  await screen.findByText(/the matrix is away/);
  const button = await runNow();
  expect(button.disabled).toBe(true);
  fireEvent.submit(button.closest("form") as HTMLFormElement);
  fireEvent.click(button);
  await screen.findByText(/the matrix is away/);
  expect(runs(asked)).toHaveLength(0);
});

test("a matrix that comes at the second try lets it run", async () => {
  let tries = 0;
  const asked = open(
    again,
    hub(() => (tries++ === 0 ? refused(500, "internal", "the matrix is away") : { items: rows, total: 4 })),
  );
  fireEvent.click(await screen.findByRole("button", { name: "Try again" }));
  await screen.findByText(/Only on the 2 nodes/);
  fireEvent.click(await runNow());
  await waitFor(() => expect(runs(asked)[0]?.body).toMatchObject({ nodes: ["web2", "web3"] }));
});

test.each([
  ["no node failed", again, { items: rows.slice(0, 1), total: 1 }],
  ["the address names no execution", "/projects/web/jobs/j1?only=failed", undefined],
])("where %s, running again on failed nodes is not running on all", async (_, address, matrix) => {
  const asked = open(address, hub(matrix));
  await screen.findByText(/No node failed/);
  const button = await runNow();
  expect(button.disabled).toBe(true);
  fireEvent.submit(button.closest("form") as HTMLFormElement);
  expect(runs(asked)).toHaveLength(0);
});

test("an ordinary run names no nodes", async () => {
  const asked = open("/projects/web/jobs/j1", hub(undefined));
  fireEvent.click(await runNow());
  await waitFor(() => expect(runs(asked)).toHaveLength(1));
  expect(runs(asked)[0]?.body).not.toHaveProperty("nodes");
});

test("a run at a later time sends the instant, and one in the past nothing", async () => {
  const asked = open("/projects/web/jobs/j1", hub({ items: [], total: 0 }));
  const at = (await screen.findByLabelText(/Start at/)) as HTMLInputElement;
  fireEvent.change(at, { target: { value: "2020-01-01T02:00" } });
  fireEvent.click(screen.getByRole("button", { name: "Run later" }));
  await screen.findByText("This time is over.");
  expect(runs(asked)).toEqual([]);
  fireEvent.change(at, { target: { value: "2099-01-01T02:00" } });
  fireEvent.click(screen.getByRole("button", { name: "Run later" }));
  await waitFor(() => expect(runs(asked)).toHaveLength(1));
  expect(runs(asked)[0]?.body).toEqual({ options: {}, runAt: new Date("2099-01-01T02:00").toISOString() });
});

test("a run that no hub answered is not said to be tried again by itself, and its repeat is the same request", async () => {
  let tries = 0;
  const asked = open("/projects/web/jobs/j1", {
    ...hub(undefined),
    "POST /api/v1/projects/web/jobs/j1/executions": () => {
      if (tries++ === 0) throw new TypeError("Failed to fetch");
      return { ...last, id: "e8", number: 8 };
    },
  });
  fireEvent.click(await runNow());
  const said = await screen.findByText(/The hub does not answer/);
  expect(said.textContent).toMatch(/try again/);
  expect(said.textContent).not.toMatch(/by itself/);
  fireEvent.click(await runNow());
  await waitFor(() => expect(runs(asked)).toHaveLength(2));
  expect(runs(asked)[0]?.key).toBe(runs(asked)[1]?.key);
});

test("what cannot be seen in a value is shown where it is chosen, and sent as it is", async () => {
  const option = { name: "release", label: "", required: false, values: ["1\u202e2", "3"], enforced: true };
  const free = { name: "where", label: "", required: false, values: ["dc\u200b1"] };
  const asked = open("/projects/web/jobs/j1", {
    ...hub({ items: [], total: 0 }),
    "GET /api/v1/projects/web/jobs/j1": { ...job, options: [option, free] },
    "GET /api/v1/projects/web/nodes": {
      items: [{ name: "web1", hostname: "h\u202e1", tags: [], attributes: {} }],
      total: 1,
    },
  });
  expect((await screen.findByText("web1")).title).toBe("h[U+202E]1");
  const release = screen.getByLabelText("release", { selector: "input" }) as HTMLInputElement;
  fireEvent.click(release);
  fireEvent.click(await screen.findByText("1[U+202E]2"));
  expect(release.value).toBe("1[U+202E]2");
  fireEvent.click(screen.getByLabelText("where", { selector: "input" }));
  fireEvent.click(await screen.findByText("dc[U+200B]1"));
  fireEvent.click(await runNow());
  await waitFor(() => expect(runs(asked)).toHaveLength(1));
  expect(runs(asked)[0]?.body).toMatchObject({ options: { release: "1\u202e2", where: "dc\u200b1" } });
});

test("a time to start at has a year of four digits", async () => {
  open("/projects/web/jobs/j1", hub({ items: [], total: 0 }));
  const field = (await screen.findByLabelText("Start at")) as HTMLInputElement;
  expect(field.max).toMatch(/^9999-/);
});
