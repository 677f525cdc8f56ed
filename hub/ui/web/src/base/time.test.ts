import { expect, test } from "vitest";
import { ago, duration, hubNow, learnClock } from "./time";

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
