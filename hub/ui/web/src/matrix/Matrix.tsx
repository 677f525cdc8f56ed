import { Bdi } from "../base/Bdi";
import "./matrix.css";
import { Tooltip } from "@mantine/core";
import { useVirtualizer } from "@tanstack/react-virtual";
import { type KeyboardEvent, useEffect, useRef, useState } from "react";
import type { Execution, ExecutionNode, ExecutionStep } from "../api/client";
import { StatusIcon } from "../base/Status";
import { shown } from "../base/shown";
import { duration } from "../base/time";
import { waitOf } from "../base/Wait";
import { t } from "../text/t";
import { cellOf, cellStatus, move, type Place, stepName } from "./grid";

const rowHeight = 30;

export interface Choice {
  node: string;
  // step is a position, -1 for all.
  step: number;
}

// Matrix shows nodes x steps as a grid with one tab stop: arrows move, Enter chooses.
export function Matrix({
  execution,
  rows,
  steps,
  choice,
  onChoose,
}: {
  execution: Execution;
  rows: ExecutionNode[];
  steps: ExecutionStep[];
  choice: Choice;
  onChoose: (choice: Choice) => void;
}) {
  const scroller = useRef<HTMLDivElement>(null);
  const [place, setPlace] = useState<Place>({ row: 0, column: -1 });
  const moved = useRef(false);
  const virtual = useVirtualizer({
    count: rows.length,
    getScrollElement: () => scroller.current,
    estimateSize: () => rowHeight,
    overscan: 12,
    getItemKey: (i) => rows[i]?.node ?? i,
  });
  const at: Place = {
    row: Math.min(place.row, Math.max(0, rows.length - 1)),
    column: Math.min(place.column, steps.length - 1),
  };

  const choose = (target: Place) => {
    const row = rows[target.row];
    if (!row) return;
    const step = target.column >= 0 ? (steps[target.column]?.position ?? -1) : -1;
    const same = choice.node === row.node && choice.step === step;
    onChoose(same ? { node: "", step: -1 } : { node: row.node, step });
  };

  const onKeyDown = (event: KeyboardEvent) => {
    if (event.altKey || event.metaKey) return;
    if (event.key === "Enter" || event.key === " ") {
      event.preventDefault();
      choose(at);
      return;
    }
    const page = Math.max(1, Math.floor((scroller.current?.clientHeight ?? 300) / rowHeight) - 2);
    const next = move(at, event.key, rows.length, steps.length, page, event.ctrlKey);
    if (!next) return;
    event.preventDefault();
    moved.current = true;
    setPlace(next);
    virtual.scrollToIndex(next.row);
  };

  // The focus follows the place once its row is drawn.
  useEffect(() => {
    if (!moved.current) return;
    const cell = scroller.current?.querySelector<HTMLElement>(`[data-at="${at.row}:${at.column}"]`);
    // A far row is drawn only after the scroll: then this runs again.
    if (!cell) return;
    moved.current = false;
    cell.focus({ preventScroll: true });
    // A name stays where it is sideways; its row comes up from behind the lower edge.
    (at.column >= 0 ? cell : cell.parentElement)?.scrollIntoView({ inline: "nearest", block: "nearest" });
  });

  const props = (row: number, column: number) => ({
    "data-at": `${row}:${column}`,
    tabIndex: at.row === row && at.column === column ? 0 : -1,
    onClick: () => {
      setPlace({ row, column });
      choose({ row, column });
    },
  });

  return (
    <div
      className="matrix"
      ref={scroller}
      role="grid"
      aria-label={t("matrix.label")}
      aria-rowcount={rows.length + 1}
      aria-colcount={steps.length + 1}
      onKeyDown={onKeyDown}
      tabIndex={-1}
    >
      <div
        className="matrix-head matrix-row"
        role="row"
        tabIndex={-1}
        aria-rowindex={1}
        style={{ minWidth: `calc(var(--matrix-node, 190px) + ${steps.length * 47}px)` }}
      >
        <div className="matrix-node" role="columnheader" tabIndex={-1}>
          {t("matrix.node")}
        </div>
        {steps.map((step) => (
          <Tooltip key={step.position} label={shown(`${stepName(step)} ${step.label}`)} maw={420} multiline>
            <div
              className="matrix-cell"
              role="columnheader"
              tabIndex={-1}
              aria-label={`${stepName(step)} ${step.label}`}
            >
              <span className="clip">
                {stepName(step)} <Bdi>{step.label}</Bdi>
              </span>
            </div>
          </Tooltip>
        ))}
      </div>
      <div
        className="matrix-rows"
        role="rowgroup"
        style={{
          height: virtual.getTotalSize(),
          position: "relative",
          minWidth: `calc(var(--matrix-node, 190px) + ${steps.length * 47}px)`,
        }}
      >
        {virtual.getVirtualItems().map((item) => {
          const row = rows[item.index];
          if (!row) return null;
          const wait = waitOf(execution, row)?.message;
          return (
            <div
              key={item.key}
              className="matrix-row"
              role="row"
              tabIndex={-1}
              aria-rowindex={item.index + 2}
              style={{ transform: `translateY(${item.start}px)` }}
            >
              <div
                className={`matrix-node${choice.node === row.node && choice.step < 0 ? " chosen" : ""}`}
                role="rowheader"
                aria-selected={choice.node === row.node && choice.step < 0}
                title={shown(wait ? `${row.node}\n${t("waiting.word", { message: wait })}` : row.node)}
                {...props(item.index, -1)}
              >
                <span className={`status st-${row.status}`}>
                  <StatusIcon status={row.status} />
                </span>
                <Bdi className="clip">{row.node}</Bdi>
                <span className="visually-hidden">
                  {wait ? t("waiting.word", { message: wait }) : t(`status.${row.status}`)}
                </span>
              </div>
              {steps.map((step, column) => (
                <Cell
                  key={step.position}
                  row={row}
                  step={step}
                  wait={wait}
                  chosen={choice.node === row.node && choice.step === step.position}
                  props={props(item.index, column)}
                />
              ))}
            </div>
          );
        })}
      </div>
    </div>
  );
}

function Cell({
  row,
  step,
  wait,
  chosen,
  props,
}: {
  row: ExecutionNode;
  step: ExecutionStep;
  wait: string | undefined;
  chosen: boolean;
  props: { tabIndex: number; onClick: () => void };
}) {
  const cell = cellOf(row, step.position);
  const status = cellStatus(row, step);
  const took = cell?.startedAt && cell.endedAt ? Date.parse(cell.endedAt) - Date.parse(cell.startedAt) : undefined;
  const words = [status ? t(`status.${status}`) : t("matrix.notNeeded")];
  if (wait && status === "queued") words.push(t("waiting.word", { message: wait }));
  if (cell?.code) words.push(t("matrix.exit", { code: String(cell.code) }));
  if (took !== undefined) words.push(duration(took));
  return (
    <div
      className={`matrix-cell st-${status ?? "skipped"}${chosen ? " chosen" : ""}`}
      role="gridcell"
      aria-selected={chosen}
      aria-label={words.join(", ")}
      title={shown(`${row.node} · ${stepName(step)} ${step.label}\n${words.join(", ")}`)}
      {...props}
    >
      {status ? <StatusIcon status={status} size={13} /> : null}
      {cell?.code ? <span className="clip">{cell.code}</span> : null}
    </div>
  );
}
