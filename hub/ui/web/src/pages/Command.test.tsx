// @vitest-environment jsdom
import { fireEvent, screen, waitFor } from "@testing-library/react";
import { expect, test, vi } from "vitest";
import { type Asked, open, refused } from "../test-page";

const run = {
  id: "e7",
  number: 7,
  project: "web",
  name: "for host in a b; do ping -c 1 $host || echo the one that is gone is the host wi…",
  status: "failed",
  logComplete: true,
  createdAt: "2026-11-22T15:04:05Z",
  nodes: { failed: 1 },
  nodeFilter: "tags: web",
  steps: [
    {
      position: 0,
      kind: "exec",
      label: "for host in a b; do ping -c 1 $host || echo the one that is gone is the host wi…",
    },
  ],
};

function again(last: unknown, address = "/projects/web/command?from=7"): Asked[] {
  return open(address, {
    "GET /api/v1/executions/7": last,
    "GET /api/v1/projects/web/nodes": { items: [], total: 0 },
    "POST /api/v1/projects/web/executions": { ...run, id: "e8", number: 8 },
  });
}

const sent = async (asked: Asked[]) => {
  fireEvent.click(await screen.findByText("Run"));
  await waitFor(() => expect(asked.some((a) => a.method === "POST")).toBe(true));
  return asked.find((a) => a.method === "POST")?.body;
};

test("a command runs again as it was, with every line of it", async () => {
  const definition = {
    command: `for host in a b; do\n  ping -c 1 $host || echo ${"gone ".repeat(30)}\ndone`,
    nodeFilter: "tags: web",
    threadcount: 5,
    keepgoing: true,
    timeoutMs: 90_000,
  };
  const asked = again({ ...run, command: definition });
  await screen.findByText("Filled in from execution #7.");
  expect(await sent(asked)).toEqual(definition);
});

test("a script runs again with arguments and interpreter", async () => {
  const definition = { script: "#!/bin/sh\nmake $1\n", args: "install", interpreter: "sh -e", nodeFilter: "tags: web" };
  const asked = again({ ...run, command: definition });
  await screen.findByText("Filled in from execution #7.");
  expect(await sent(asked)).toMatchObject(definition);
});

test("a command runs again where it failed by the nodes' names, whatever they are called", async () => {
  const row = (node: string, status: string) => ({ node, position: 0, status, steps: [] });
  const rows = [row("web.*", "failed"), row("a,b", "timed_out"), row("web1", "succeeded"), row("web2", "unknown")];
  const nodes = { failed: 1, timed_out: 1, succeeded: 1, unknown: 1 };
  const asked = open("/executions/7", {
    "GET /api/v1/executions/7": { ...run, nodes, command: { command: "uptime", nodeFilter: "tags: web" } },
    "GET /api/v1/executions/7/nodes": { items: rows, total: 4 },
    "GET /api/v1/executions/e7/log": "",
    "GET /api/v1/projects/web/nodes": { items: [], total: 0 },
    "POST /api/v1/projects/web/executions": { ...run, id: "e8", number: 8 },
  });
  fireEvent.click(await screen.findByRole("button", { name: "Run again", expanded: false }));
  fireEvent.click(await screen.findByText("On the 2 nodes that failed"));
  await screen.findByText(/Only on the 2 nodes that failed in execution #7: web.\*, a,b/);
  const copied = vi.fn(async (_: string) => undefined);
  Object.defineProperty(navigator, "clipboard", { configurable: true, value: { writeText: copied } });
  fireEvent.click(screen.getByText("Copy link to this form"));
  expect(copied.mock.calls[0]?.[0]).toMatch(/from=7&only=failed$/);
  expect(await sent(asked)).toMatchObject({ command: "uptime", nodeFilter: "tags: web", nodes: ["web.*", "a,b"] });
});

test("a command whose failed nodes are not known runs nowhere", async () => {
  const asked = open("/projects/web/command?from=7&only=failed", {
    "GET /api/v1/executions/7": { ...run, command: { command: "uptime", nodeFilter: "tags: web" } },
    "GET /api/v1/executions/7/nodes": refused(500, "internal", "the matrix is away"),
    "GET /api/v1/projects/web/nodes": { items: [], total: 0 },
  });
  await screen.findByText(/the matrix is away/);
  fireEvent.keyDown(await screen.findByLabelText("Command line"), { key: "Enter" });
  fireEvent.submit((await screen.findByLabelText("Command line")).closest("form") as HTMLFormElement);
  expect(asked.some((a) => a.method === "POST")).toBe(false);
});

test.each([
  ["is not told whole", run, /does not tell its whole command/],
  ["cannot be read", refused(500, "internal", "the database is away"), /the database is away/],
])("a command that %s is not guessed", async (_, last, why) => {
  again(last);
  await screen.findByText(why);
  expect(((await screen.findByLabelText("Command line")) as HTMLTextAreaElement).value).toBe("");
});

test("Enter runs the line, and Shift with it begins another", async () => {
  const asked = again(undefined, "/projects/web/command?command=uptime");
  const line = await screen.findByLabelText("Command line");
  fireEvent.keyDown(line, { key: "Enter", shiftKey: true });
  expect(asked.some((a) => a.method === "POST")).toBe(false);
  fireEvent.keyDown(line, { key: "Enter" });
  await waitFor(() => expect(asked.find((a) => a.method === "POST")?.body).toMatchObject({ command: "uptime" }));
});

test("a command at a later time sends the instant, and one in the past nothing", async () => {
  const asked = again(undefined, "/projects/web/command?command=uptime");
  const at = await screen.findByLabelText(/Start at/);
  fireEvent.change(at, { target: { value: "2020-01-01T02:00" } });
  fireEvent.click(screen.getByRole("button", { name: "Run later" }));
  await screen.findByText("This time is over.");
  expect(asked.some((a) => a.method === "POST")).toBe(false);
  fireEvent.change(at, { target: { value: "2099-01-01T02:00" } });
  fireEvent.click(screen.getByRole("button", { name: "Run later" }));
  await waitFor(() =>
    expect(asked.find((a) => a.method === "POST")?.body).toMatchObject({
      command: "uptime",
      runAt: new Date("2099-01-01T02:00").toISOString(),
    }),
  );
});
