// @vitest-environment jsdom
import { fireEvent, screen, waitFor } from "@testing-library/react";
import { expect, test } from "vitest";
import { type Asked, type Hub, open, refused } from "../test-page";

const gb = 1024 ** 3;
const at = "2026-11-22T15:04:05Z";
const quota = {
  logBytes: 10 * gb,
  executionLogBytes: 0,
  usedBytes: 10 * gb,
  countedAt: at,
  over: true,
  near: true,
  revision: 3,
};
const cluster = {
  id: "c1",
  incarnation: 1,
  tick: 9,
  database: "sqlite",
  time: at,
  mode: "active-active",
  executionMode: "active",
  members: [],
  leases: [],
  retention: { executions: 0, bytes: 0, deleting: 0 },
  quota,
};
const change = "PATCH /api/v1/quota";

// hubWith answers a change as it is told, and its cluster has the quota that holds then.
function hubWith(answer: () => unknown, then: unknown = quota): Hub {
  let now: unknown = quota;
  return {
    "GET /api/v1/cluster": () => ({ ...cluster, quota: now }),
    [change]: () => {
      now = then;
      return answer();
    },
  };
}

const sent = (asked: Asked[]) => asked.filter((a) => a.method === "PATCH").map((a) => [a.match, a.body]);
const openDialog = async () => {
  fireEvent.click(await screen.findByRole("button", { name: "Change quota" }));
  await screen.findByRole("dialog");
};
const type = (label: string, value: string) => fireEvent.change(screen.getByLabelText(label), { target: { value } });
const shown = (label: string) => (screen.getByLabelText(label) as HTMLInputElement).value;
const save = () => fireEvent.click(screen.getByRole("button", { name: "Save" }));

test("a quota is set as people write sizes, and shown at once", async () => {
  const then = { ...quota, logBytes: 50 * gb, executionLogBytes: gb, over: false, near: false, revision: 4 };
  const asked = open(
    "/cluster",
    hubWith(() => then, then),
  );
  await screen.findByText(/Change quota here/);
  await openDialog();
  expect(shown("All logs together")).toBe("10 GB");
  expect(shown("Output of one execution")).toBe("");
  type("All logs together", " 50 gb ");
  type("Output of one execution", "1024 MB");
  save();
  await screen.findByText("10 GB of 50 GB (20 %)", { exact: false });
  await waitFor(() => expect(screen.queryByRole("dialog")).toBeNull());
  screen.getByText("1 GB");
  screen.getByText("The quota is saved.");
  expect(screen.queryByText(/Nothing new starts/)).toBeNull();
  expect(sent(asked)).toEqual([['"3"', { logBytes: 50 * gb, executionLogBytes: gb }]]);
});

test("an empty field takes the limit away", async () => {
  const then = { ...quota, logBytes: 0, over: false, near: false, revision: 4 };
  const asked = open(
    "/cluster",
    hubWith(() => then, then),
  );
  await openDialog();
  type("All logs together", "  ");
  save();
  await screen.findByText("10 GB, no limit", { exact: false });
  expect(sent(asked)).toEqual([['"3"', { logBytes: 0, executionLogBytes: 0 }]]);
});

test("a size that may not be is told at its field in the hub's words", async () => {
  const words = "must be from 1 MB to 1048576 TB";
  const wrong = [{ path: "executionLogBytes", message: words }];
  open(
    "/cluster",
    hubWith(() => refused(400, "invalid", "The quota cannot be that.", wrong)),
  );
  await openDialog();
  type("Output of one execution", "5 KB");
  save();
  await screen.findByText(words);
  expect(screen.queryByText("The quota cannot be that.")).toBeNull();
  expect(shown("Output of one execution")).toBe("5 KB");
});

test("what is no size is not sent", async () => {
  const asked = open(
    "/cluster",
    hubWith(() => quota),
  );
  await openDialog();
  type("All logs together", "plenty");
  save();
  await screen.findByText(/Write a whole number and a unit/);
  type("All logs together", "20 GB");
  save();
  await waitFor(() => expect(sent(asked)).toEqual([['"3"', { logBytes: 20 * gb, executionLogBytes: 0 }]]));
  expect(screen.queryByText(/Write a whole number and a unit/)).toBeNull();
});

test("who was overtaken is told, keeps what is typed, and can take over what is there", async () => {
  const other = { ...quota, logBytes: 70 * gb, revision: 9 };
  const asked = open(
    "/cluster",
    hubWith(() => refused(412, "conflict", "The quota was changed meanwhile."), other),
  );
  await openDialog();
  type("All logs together", "50 GB");
  save();
  await screen.findByText("The quota was changed meanwhile.");
  await screen.findByText(/Somebody changed the quota/);
  expect(shown("All logs together")).toBe("50 GB");
  fireEvent.click(screen.getByRole("button", { name: "Show what it is now" }));
  await waitFor(() => expect(shown("All logs together")).toBe("70 GB"));
  expect(screen.queryByText("The quota was changed meanwhile.")).toBeNull();
  type("All logs together", "80 GB");
  save();
  await waitFor(() => expect(sent(asked).map(([match]) => match)).toEqual(['"3"', '"9"']));
});

test("who is no administrator sees the quota, and no button", async () => {
  const hub = hubWith(() => quota);
  open("/cluster", { ...hub, "GET /api/v1/me": { name: "ole", admin: false } });
  await screen.findByText("10 GB of 10 GB (100 %)", { exact: false });
  expect(screen.queryByRole("button", { name: "Change quota" })).toBeNull();
});
