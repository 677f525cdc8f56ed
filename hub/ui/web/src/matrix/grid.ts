// What the matrix shows: rows of nodes, columns of steps, and where the focus goes.

import type { ExecutionNode, ExecutionStep, Status, StepOn } from "../api/client";

export function cellOf(node: ExecutionNode, step: number): StepOn | undefined {
  return node.steps.find((s) => s.step === step);
}

// columnsOf orders steps as they are shown: each error handler behind its step.
export function columnsOf(steps: ExecutionStep[]): ExecutionStep[] {
  const place = (s: ExecutionStep) => s.handlerOf ?? s.position;
  return [...steps].sort((a, b) => place(a) - place(b) || a.position - b.position);
}

// stepName is a step's number as people count, or a sign for an error handler.
export function stepName(step: ExecutionStep): string {
  return step.handlerOf === undefined ? `${step.position + 1}.` : `${step.handlerOf + 1}↳`;
}

// cellStatus is what a cell shows. What has no record is queued, unless the node is
// done: then that step never came to its turn. A handler that was not needed shows
// nothing.
export function cellStatus(node: ExecutionNode, step: ExecutionStep): Status | undefined {
  const cell = cellOf(node, step.position);
  if (step.handlerOf !== undefined && (!cell || cell.reason === "not_needed" || cell.status === "skipped"))
    return undefined;
  if (cell) return cell.status;
  switch (node.status) {
    case "queued":
    case "running":
    case "cancelling":
    case "held":
    case "scheduled":
      return "queued";
    case "unknown":
      // Whether it began is exactly what is not known.
      return "unknown";
    default:
      return "skipped";
  }
}

export interface Place {
  row: number;
  column: number;
}

// move returns where a key leads from a place; undefined if the key is not ours.
// Column -1 is the node's own cell, which stands for all its steps.
export function move(
  from: Place,
  key: string,
  rows: number,
  columns: number,
  page: number,
  ctrl: boolean,
): Place | undefined {
  const row = (n: number) => Math.max(0, Math.min(rows - 1, n));
  const column = (n: number) => Math.max(-1, Math.min(columns - 1, n));
  switch (key) {
    case "ArrowUp":
      return { ...from, row: row(from.row - 1) };
    case "ArrowDown":
      return { ...from, row: row(from.row + 1) };
    case "ArrowLeft":
      return { ...from, column: column(from.column - 1) };
    case "ArrowRight":
      return { ...from, column: column(from.column + 1) };
    case "PageUp":
      return { ...from, row: row(from.row - page) };
    case "PageDown":
      return { ...from, row: row(from.row + page) };
    case "Home":
      return { row: ctrl ? 0 : from.row, column: -1 };
    case "End":
      return { row: ctrl ? rows - 1 : from.row, column: columns - 1 };
    default:
      return undefined;
  }
}

export function filterRows(rows: ExecutionNode[], status: Status | "", words: string): ExecutionNode[] {
  const wanted = words.trim().toLowerCase();
  return rows.filter(
    (r) => (status === "" || r.status === status) && (wanted === "" || r.node.toLowerCase().includes(wanted)),
  );
}
