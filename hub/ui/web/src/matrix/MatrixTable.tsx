import { useVirtualizer } from "@tanstack/react-virtual";
import { useRef } from "react";
import type { Execution, ExecutionNode, ExecutionStep } from "../api/client";
import { Bdi } from "../base/Bdi";
import { Icon } from "../base/icons";
import { Elapsed } from "../base/parts";
import { StatusText } from "../base/Status";
import { shown } from "../base/shown";
import { Since, type WaitingFor, waitOf } from "../base/Wait";
import { t } from "../text/t";
import { cellOf, cellStatus, stepName } from "./grid";
import type { Choice } from "./Matrix";

// MatrixTable tells the matrix in words: a line for each node and step.
export function MatrixTable({
  execution,
  rows,
  steps,
  onChoose,
}: {
  execution: Execution;
  rows: ExecutionNode[];
  steps: ExecutionStep[];
  onChoose: (choice: Choice) => void;
}) {
  const scroller = useRef<HTMLDivElement>(null);
  const lines = rows.flatMap((row) =>
    steps.filter((step) => cellStatus(row, step) !== undefined).map((step) => ({ row, step })),
  );
  const virtual = useVirtualizer({
    count: lines.length,
    getScrollElement: () => scroller.current,
    estimateSize: () => 34,
    overscan: 15,
  });
  const items = virtual.getVirtualItems();
  const above = items[0]?.start ?? 0;
  const below = virtual.getTotalSize() - (items.at(-1)?.end ?? 0);
  return (
    <div ref={scroller} style={{ overflow: "auto", flex: 1, minHeight: 0 }}>
      <table className="list" aria-rowcount={lines.length + 1}>
        <thead>
          <tr>
            <th>{t("matrix.node")}</th>
            <th>{t("matrix.step")}</th>
            <th>{t("matrix.state")}</th>
            <th className="num">{t("matrix.code")}</th>
            <th className="num">{t("execution.took")}</th>
          </tr>
        </thead>
        <tbody>
          {above > 0 ? <tr style={{ height: above }} /> : null}
          {items.map((item) => {
            const line = lines[item.index];
            if (!line) return null;
            const { row, step } = line;
            const cell = cellOf(row, step.position);
            const status = cellStatus(row, step);
            const wait = status === "queued" ? waitOf(execution, row) : undefined;
            return (
              <tr key={item.key} aria-rowindex={item.index + 2} style={{ height: 34 }}>
                <td>
                  <button
                    type="button"
                    className="plain-link"
                    onClick={() => onChoose({ node: row.node, step: step.position })}
                  >
                    <Bdi>{row.node}</Bdi>
                  </button>
                </td>
                <td className="clip" style={{ maxWidth: 160 }} title={shown(step.label)}>
                  {stepName(step)} <Bdi>{step.label}</Bdi>
                </td>
                <td className="shrink">{status ? <StatusText status={status} /> : null}</td>
                <td className="num">{cell?.code ?? ""}</td>
                <td className="num" title={wait ? shown(wait.message) : undefined}>
                  {cell?.startedAt ? <Elapsed from={cell.startedAt} to={cell.endedAt} /> : null}
                  {wait ? <Waits wait={wait} /> : null}
                </td>
              </tr>
            );
          })}
          {below > 0 ? <tr style={{ height: below }} /> : null}
        </tbody>
      </table>
    </div>
  );
}

// Waits is short: what all of them wait for stands above the table.
function Waits({ wait }: { wait: WaitingFor }) {
  return (
    <span className="row" style={{ justifyContent: "flex-end" }}>
      <span className="visually-hidden">{t("waiting.word", { message: wait.message })}</span>
      <Icon name="hourglass" size={12} />
      <Since wait={wait} />
    </span>
  );
}
