// @vitest-environment jsdom
import { fireEvent, screen, waitFor, within } from "@testing-library/react";
import { expect, test, vi } from "vitest";
import { type Asked, type Hub, open, refused } from "../test-page";
import { entriesOf } from "./Calendars";

const holidays = {
  name: "holidays",
  description: "No office.",
  mode: "exclude",
  days: ["12-24..12-26", "SAT..SUN"],
  jobs: ["ops/nightly"],
  revision: 7,
  createdAt: "2026-11-22T15:04:05Z",
  updatedAt: "2026-11-22T15:04:05Z",
};
const at = "/api/v1/projects/web/calendars";

function hub(more: Hub = {}): Hub {
  return {
    "GET /api/v1/schedules": { items: [] },
    "GET /api/v1/projects/web/fires": { items: [] },
    [`GET ${at}`]: { items: [holidays] },
    ...more,
  };
}

const changes = (asked: Asked[]) => asked.filter((a) => a.method !== "GET");
const dialog = async () => within(await screen.findByRole("dialog"));
const save = (inside: Awaited<ReturnType<typeof dialog>>) =>
  fireEvent.click(inside.getByRole("button", { name: "Save" }));
const days = async () => (await screen.findByLabelText("Days")) as HTMLTextAreaElement;

test("days are told apart by lines and commas, and keep their lines", () => {
  expect(entriesOf("SAT, SUN\n\n 12-25 ,\n")).toEqual([
    { day: "SAT", line: 1 },
    { day: "SUN", line: 1 },
    { day: "12-25", line: 3 },
  ]);
});

test("calendars are listed with their days and the jobs that go by them", async () => {
  open("/projects/web/schedules", hub());
  const row = within((await screen.findByText("holidays")).closest("tr") as HTMLElement);
  expect(row.getByText("12-24..12-26")).toBeTruthy();
  expect(row.getByText("ops/nightly").closest("a")?.getAttribute("href")).toBe("/projects/web/jobs?q=ops%2Fnightly");
});

test("a new calendar is made without a precondition, so that it overwrites none", async () => {
  const asked = open("/projects/web/schedules", hub({ [`PUT ${at}/freeze`]: { ...holidays, name: "freeze" } }));
  fireEvent.click(await screen.findByRole("button", { name: "New calendar" }));
  const inside = await dialog();
  fireEvent.change(inside.getByLabelText("Name"), { target: { value: "freeze" } });
  fireEvent.change(await days(), { target: { value: "2026-12-01..2026-12-07\nSUN" } });
  save(inside);
  await waitFor(() => expect(screen.queryByRole("dialog")).toBeNull());
  expect(changes(asked)).toMatchObject([
    { match: null, body: { description: "", mode: "exclude", days: ["2026-12-01..2026-12-07", "SUN"] } },
  ]);
  expect(changes(asked)[0]?.key).toMatch(/^[0-9a-f]{32}$/);
});

test("a change says which revision it is based on, and begins with what is there", async () => {
  const asked = open("/projects/web/schedules?calendar=holidays", hub({ [`PUT ${at}/holidays`]: holidays }));
  expect((await days()).value).toBe("12-24..12-26\nSAT..SUN");
  fireEvent.click(screen.getByLabelText("Only on these days"));
  save(await dialog());
  await waitFor(() =>
    expect(changes(asked)).toMatchObject([
      { match: '"7"', body: { description: "No office.", mode: "only", days: holidays.days } },
    ]),
  );
});

test("what is wrong with a day is told at its line, and goes once the line is changed", async () => {
  open(
    "/projects/web/schedules?calendar=holidays",
    hub({
      [`PUT ${at}/holidays`]: refused(422, "invalid", "It cannot be used as it is.", [
        { path: "body.days[1]", message: '"12-40" is no day.' },
      ]),
    }),
  );
  const text = await days();
  fireEvent.change(text, { target: { value: "SAT\n\n12-40" } });
  save(await dialog());
  await screen.findByText('"12-40" is no day.');
  fireEvent.click(screen.getByRole("button", { name: "Line 3" }));
  expect(text.value.slice(text.selectionStart, text.selectionEnd)).toBe("12-40");
  fireEvent.change(text, { target: { value: "12-40\nSAT" } });
  screen.getByRole("button", { name: "Line 1" });
  fireEvent.change(text, { target: { value: "12-30\nSAT" } });
  expect(screen.queryByText('"12-40" is no day.')).toBeNull();
});

test("who was overtaken is told so, keeps the text, and may take over what is there", async () => {
  let now = holidays;
  open(
    "/projects/web/schedules?calendar=holidays",
    hub({
      [`GET ${at}`]: () => ({ items: [now] }),
      [`PUT ${at}/holidays`]: () => {
        now = { ...holidays, days: ["MON"], revision: 8 };
        return refused(412, "conflict", "It was changed meanwhile.");
      },
    }),
  );
  const text = await days();
  fireEvent.change(text, { target: { value: "TUE" } });
  save(await dialog());
  await screen.findByText("It was changed meanwhile.");
  const takeOver = await screen.findByRole("button", { name: "Show what it is now" });
  expect((await days()).value).toBe("TUE");
  fireEvent.click(takeOver);
  await waitFor(async () => expect((await days()).value).toBe("MON"));
});

test("a calendar that jobs go by is not deleted, and the hub's sentence says so", async () => {
  vi.spyOn(window, "confirm").mockReturnValue(true);
  const asked = open(
    "/projects/web/schedules?calendar=holidays",
    hub({ [`DELETE ${at}/holidays`]: refused(409, "conflict", "Jobs go by the calendar: ops/nightly.") }),
  );
  fireEvent.click(await screen.findByRole("button", { name: "Delete" }));
  await screen.findByText("Jobs go by the calendar: ops/nightly.");
  expect(changes(asked)).toMatchObject([{ method: "DELETE", match: '"7"' }]);
});

test("who may not change calendars still sees all of one", async () => {
  open("/projects/web/schedules?calendar=holidays", hub({ "GET /api/v1/me": { name: "ole", admin: false } }));
  expect((await days()).readOnly).toBe(true);
  expect(screen.queryByRole("button", { name: "Save" })).toBeNull();
  expect(screen.queryByRole("button", { name: "New calendar" })).toBeNull();
});
