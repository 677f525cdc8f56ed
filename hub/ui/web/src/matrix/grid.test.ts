import { expect, test } from "vitest";
import type { ExecutionNode, ExecutionStep, StepOn } from "../api/client";
import { cellStatus, columnsOf, filterRows, move, stepName } from "./grid";

const step = (position: number, handlerOf?: number): ExecutionStep => ({
  position,
  kind: "exec",
  label: `s${position}`,
  ...(handlerOf === undefined ? {} : { handlerOf }),
});
const on = (step: number, more: Partial<StepOn> = {}): StepOn => ({
  step,
  try: 1,
  status: "succeeded",
  endProven: true,
  notStarted: false,
  ...more,
});
const row = (status: ExecutionNode["status"], steps: StepOn[] = []): ExecutionNode => ({
  node: `n-${status}`,
  position: 0,
  status,
  steps,
});

test("handlers stand behind their steps", () => {
  const columns = columnsOf([step(0), step(1), step(2), step(4, 1)]);
  expect(columns.map((s) => s.position)).toEqual([0, 1, 4, 2]);
  expect(columns.map(stepName)).toEqual(["1.", "2.", "2↳", "3."]);
});

test.each([
  ["running", "queued"],
  ["queued", "queued"],
  ["failed", "skipped"],
  ["cancelled", "skipped"],
  ["unknown", "unknown"],
] as const)("a cell without a record on a %s node is %s", (status, want) => {
  expect(cellStatus(row(status), step(1))).toBe(want);
});

test("a handler shows only when it was needed", () => {
  expect(cellStatus(row("succeeded"), step(4, 1))).toBeUndefined();
  expect(
    cellStatus(row("succeeded", [on(4, { status: "skipped", reason: "not_needed" })]), step(4, 1)),
  ).toBeUndefined();
  expect(cellStatus(row("succeeded", [on(4)]), step(4, 1))).toBe("succeeded");
});

test.each([
  ["ArrowUp", false, { row: 4, column: 1 }],
  ["ArrowDown", false, { row: 6, column: 1 }],
  ["ArrowLeft", false, { row: 5, column: 0 }],
  ["ArrowRight", false, { row: 5, column: 2 }],
  ["Home", false, { row: 5, column: -1 }],
  ["Home", true, { row: 0, column: -1 }],
  ["End", true, { row: 9, column: 2 }],
  ["PageDown", false, { row: 9, column: 1 }],
  ["PageUp", false, { row: 0, column: 1 }],
] as const)("%s (ctrl %s) moves within the grid", (key, ctrl, want) => {
  expect(move({ row: 5, column: 1 }, key, 10, 3, 8, ctrl)).toEqual(want);
});

test("keys that are not ours are left alone", () => {
  expect(move({ row: 0, column: 0 }, "Tab", 10, 3, 8, false)).toBeUndefined();
});

test("rows are filtered by state and name", () => {
  const rows = [row("failed"), row("succeeded")];
  expect(filterRows(rows, "failed", "")).toHaveLength(1);
  expect(filterRows(rows, "", "SUCC")).toHaveLength(1);
});
