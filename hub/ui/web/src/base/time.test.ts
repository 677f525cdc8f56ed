import { expect, test } from "vitest";
import { ago, duration, hubNow, inZone, learnClock, local, zoneOffset } from "./time";

test.each([
  [-5, "0 ms"],
  [420, "420 ms"],
  [1234, "1.2 s"],
  [59_400, "59 s"],
  [65_000, "1 min 05 s"],
  [3_600_000, "1 h 00 min"],
  [90_000_000, "25 h 00 min"],
  [200_000_000, "2 d 7 h"],
])("%d ms are told as %s", (ms, want) => expect(duration(ms)).toBe(want));

test("the past and what is to come", () => {
  expect(ago(0, 1000)).toBe("just now");
  expect(ago(0, 30_000)).toContain("30");
  expect(ago(7_200_000, 0)).toContain("in 2");
});

test.each([
  ["an hour before midnight", [26, 23], "2 hr. ago"],
  ["a day ago and a bit", [26, 0], "yesterday"],
  ["the last minute of the day before yesterday", [25, 23], "2 days ago"],
  ["a day from now and a bit", [28, 2], "tomorrow"],
  ["early on the day after tomorrow", [29, 2], "in 2 days"],
  ["a month before", [-3, 1], "30 days ago"],
] as const)("%s is told by the calendar", (_, [day, hour], want) =>
  expect(ago(new Date(2026, 10, day, hour).getTime(), new Date(2026, 10, 27, 1).getTime())).toBe(want),
);

test("what the hub says of instants is told in the viewer's zone", () => {
  const at = Date.parse("2027-03-14T10:00:00Z");
  expect(inZone("until 2027-03-14T10:00:00Z", 0)).toBe(`until ${local(at, 0)} ${zoneOffset(at)}`);
  expect(inZone("until the release 2027-03-14 is out", 0)).toBe("until the release 2027-03-14 is out");
});

test("the hub's clock is learnt from its answers, and a drift is believed", () => {
  const now = Date.now();
  learnClock(new Date(now + 90_000).toUTCString(), now - 20, now);
  expect(Math.abs(hubNow() - Date.now() - 90_000)).toBeLessThan(1100);
  learnClock(new Date(now + 300_000).toUTCString(), now - 400, now);
  expect(Math.abs(hubNow() - Date.now() - 300_000)).toBeLessThan(1600);
  learnClock("nonsense", now, now);
  learnClock(new Date(now).toUTCString(), now - 10, now);
  expect(Math.abs(hubNow() - Date.now())).toBeLessThan(1100);
});
