// @vitest-environment jsdom
import { fireEvent, screen, waitFor, within } from "@testing-library/react";
import { expect, test } from "vitest";
import { type Hub, open } from "../test-page";

const schedule = {
  jobId: "j1",
  project: "web",
  name: "nightly",
  group: "ops",
  expression: "0 30 2 * * ?",
  timeZone: "Europe/Berlin",
  missed: "skip",
  calendars: ["holidays"],
  nextFireAt: "2099-12-01T01:30:00Z",
  lastFireAt: "2026-11-22T01:30:00Z",
  paused: false,
};
const paused = {
  ...schedule,
  jobId: "j2",
  name: "weekly",
  calendars: [],
  nextFireAt: undefined,
  paused: true,
  whyNot: "The schedule is paused.",
};

const hub: Hub = {
  "GET /api/v1/schedules": { items: [schedule, paused] },
  "GET /api/v1/projects/web/fires": {
    items: [
      {
        jobId: "j1",
        name: "nightly",
        group: "ops",
        at: "2026-11-21T01:30:00Z",
        status: "missed",
        reason: "Nobody was there.",
      },
    ],
  },
  "GET /api/v1/projects/web/jobs/j1/fires": {
    timeZone: "Europe/Berlin",
    coming: ["2099-12-01T01:30:00Z", "2099-12-27T01:30:00Z"],
    takenOut: [{ at: "2099-12-25T01:30:00Z", calendar: "holidays" }],
    past: [
      { at: "2026-11-22T01:30:00Z", status: "started", executionId: "e7" },
      { at: "2026-11-21T01:30:00Z", status: "missed", reason: "Nobody was there." },
    ],
  },
  "POST /api/v1/projects/web/jobs/j2/schedule/resume": { ...paused, paused: false },
};

test("schedules tell what comes, why nothing comes, and what was missed", async () => {
  open("/projects/web/schedules", hub);
  await screen.findByText("The schedule is paused.");
  expect(screen.getByText("Calendars: holidays")).toBeTruthy();
  const panel = (await screen.findByText("Nobody was there.")).closest("section") as HTMLElement;
  expect(within(panel).getByText("ops/nightly")).toBeTruthy();
});

test("the fires of a job are told in the order of time, and are in the address", async () => {
  open("/projects/web/schedules?job=j1", hub);
  const panel = (await screen.findByText("taken out by calendar holidays")).closest("section") as HTMLElement;
  const rows = within(panel).getAllByRole("row").slice(1);
  expect(rows.map((r) => r.querySelectorAll("td")[1]?.firstChild?.textContent)).toEqual([
    "missed",
    "started",
    "comes",
    "taken out by calendar holidays",
    "comes",
  ]);
});

test("a paused schedule is resumed", async () => {
  const asked = open("/projects/web/schedules", hub);
  fireEvent.click(await screen.findByRole("button", { name: "Resume the schedule of ops/weekly" }));
  await waitFor(() =>
    expect(asked.filter((a) => a.method === "POST").map((a) => a.path)).toEqual([
      "/api/v1/projects/web/jobs/j2/schedule/resume",
    ]),
  );
});
