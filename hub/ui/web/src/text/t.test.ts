import { expect, test } from "vitest";
import { en } from "./en";
import { t } from "./t";

test("plurals and grouped numbers", () => {
  expect(t("nodes.match", { n: 1 })).toBe("1 node");
  expect(t("nodes.match", { n: 1200 })).toBe("1,200 nodes");
});

test("every form of a message has the same parameters", () => {
  const names = (text: string) =>
    [...text.matchAll(/\{(\w+)\}/g)]
      .map((m) => m[1])
      .filter((n) => n !== "n")
      .sort();
  for (const message of Object.values(en))
    if (typeof message !== "string") expect(names(message.one)).toEqual(names(message.other));
});

test("every state has a word", () => {
  for (const status of [
    "scheduled",
    "queued",
    "running",
    "cancelling",
    "held",
    "succeeded",
    "failed",
    "cancelled",
    "timed_out",
    "unknown",
    "missed",
    "skipped",
  ])
    expect(en).toHaveProperty([`status.${status}`]);
});
