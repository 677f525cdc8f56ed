// @vitest-environment jsdom
import { expect, test, vi } from "vitest";
import { away } from "./presence";

test("who does nothing for a minute is away, until a hand moves", () => {
  vi.useFakeTimers({ now: Date.now() });
  window.dispatchEvent(new Event("keydown"));
  expect(away()).toBe(false);
  vi.advanceTimersByTime(61_000);
  expect(away()).toBe(true);
  window.dispatchEvent(new Event("pointermove"));
  expect(away()).toBe(false);
  vi.useRealTimers();
});
