// @vitest-environment jsdom
import { fireEvent, screen, waitFor } from "@testing-library/react";
import { expect, test } from "vitest";
import { type Asked, type Hub, open, refused } from "../test-page";

const project = {
  id: "p1",
  name: "web",
  description: "",
  routes: [],
  settings: { "retention.days": "30", "retention.bytes": "21474836480", timeZone: "Europe/Oslo" },
  retention: { days: 30, failedDays: 0, executions: 0, bytes: 21474836480 },
  revision: 4,
  createdAt: "2026-11-22T15:04:05Z",
  updatedAt: "2026-11-22T15:04:05Z",
};
const plan = {
  ...project.retention,
  ended: 120,
  kept: 3,
  removes: 7,
  removesBytes: 3 * 1024 * 1024,
  removesFromAt: "2026-01-22T15:04:05Z",
  removesToAt: "2026-02-22T15:04:05Z",
};
const one = "/api/v1/projects/web";
const hub: Hub = { [`GET ${one}`]: project, [`GET ${one}/retention`]: plan };
const change = "PATCH /api/v1/projects/p1";
const sent = (asked: Asked[]) => asked.filter((a) => a.method === "PATCH");
const type = async (label: string, value: string) =>
  fireEvent.change(await screen.findByLabelText(label), { target: { value } });
const save = () => fireEvent.click(screen.getByRole("button", { name: "Save" }));
const shown = (label: string) => (screen.getByLabelText(label) as HTMLInputElement).value;

test("the settings and what would go by them are shown", async () => {
  open("/projects/web/settings", hub);
  await screen.findByText("7 executions, 3 MB of log");
  expect(shown("Days")).toBe("30");
  expect(shown("Log in all")).toBe("20 GB");
  expect(shown("Executions of each job")).toBe("");
  screen.getByText("120");
});

test("a change is based on what was read, and leaves every other setting", async () => {
  const changed = { ...project, settings: { "retention.executions": "50", timeZone: "Europe/Oslo" }, revision: 5 };
  let now: unknown = project;
  const asked = open("/projects/web/settings", {
    ...hub,
    [`GET ${one}`]: () => now,
    [change]: () => {
      now = changed;
      return changed;
    },
  });
  await type("Days", " ");
  await type("Executions of each job", " 50 ");
  await type("Log in all", "2 gb");
  save();
  await screen.findByText("The settings are saved.");
  expect(sent(asked).map((a) => [a.match, a.body])).toEqual([
    ['"4"', { settings: { "retention.executions": "50", "retention.bytes": "2147483648", timeZone: "Europe/Oslo" } }],
  ]);
  expect(shown("Log in all")).toBe("");
  await waitFor(() => expect(asked.filter((a) => a.path.endsWith("/retention")).length).toBe(2));
});

test("what is wrong is told at its field", async () => {
  open("/projects/web/settings", {
    ...hub,
    [change]: refused(400, "invalid", "The project's settings hold a value.", [
      { path: "body.settings.retention.executions", message: "must be a number from 10" },
    ]),
  });
  await type("Executions of each job", "9");
  save();
  await screen.findByText("must be a number from 10");
  expect(screen.queryByText("The project's settings hold a value.")).toBeNull();
});

test("who was overtaken is told, keeps what is typed, and can take over what is there", async () => {
  const other = { ...project, settings: { "retention.days": "60" }, revision: 9 };
  let now: unknown = project;
  const asked = open("/projects/web/settings", {
    ...hub,
    [`GET ${one}`]: () => now,
    [change]: () => {
      now = other;
      return refused(412, "conflict", "The project was changed meanwhile.");
    },
  });
  await type("Days", "7");
  save();
  await screen.findByText("The project was changed meanwhile.");
  await screen.findByText(/Somebody changed this project/);
  expect(shown("Days")).toBe("7");
  fireEvent.click(screen.getByRole("button", { name: "Show what it is now" }));
  await waitFor(() => expect(shown("Days")).toBe("60"));
  expect(sent(asked)[0]?.match).toBe('"4"');
});

test("who may not change them sees them, and no button", async () => {
  open("/projects/web/settings", { ...hub, "GET /api/v1/me": { name: "ole", admin: false } });
  const days = (await screen.findByLabelText("Days")) as HTMLInputElement;
  expect(days.readOnly).toBe(true);
  expect(screen.queryByRole("button", { name: "Save" })).toBeNull();
});
