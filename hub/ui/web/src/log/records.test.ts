import { expect, test } from "vitest";
import { parseRecords } from "./records";

test("a page is lines and at the end the end; empty lines are beats", () => {
  const line = { cursor: "c1", node: "web1", text: "a" };
  const text = `${JSON.stringify(line)}\n\n${JSON.stringify({ end: { cursor: "c1", status: "running", logComplete: false, more: true } })}\n`;
  const page = parseRecords(text);
  expect(page.lines).toHaveLength(1);
  expect(page.end?.more).toBe(true);
});
