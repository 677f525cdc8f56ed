import "./status.css";
import type { ReactNode } from "react";
import type { Status as StatusWord } from "../api/client";
import { t } from "../text/t";

// order is how counts are listed: what needs a person first.
export const order: StatusWord[] = [
  "unknown",
  "failed",
  "timed_out",
  "cancelled",
  "held",
  "missed",
  "cancelling",
  "running",
  "queued",
  "scheduled",
  "skipped",
  "succeeded",
];

const finals = new Set<StatusWord>(["succeeded", "failed", "cancelled", "timed_out", "unknown", "missed", "skipped"]);

export function isFinal(status: StatusWord): boolean {
  return finals.has(status);
}

const disc = (inner: ReactNode) => (
  <>
    <circle cx="8" cy="8" r="6.6" fill="currentColor" stroke="none" />
    {inner}
  </>
);

const ring = <circle cx="8" cy="8" r="6" />;
const cut = "var(--st-cut, var(--fl-surface))";

// Each state has a shape of its own, so that it reads without its colour.
const shapes: Record<StatusWord, ReactNode> = {
  succeeded: disc(<path d="M5 8.3 7.2 10.5 11 6" stroke={cut} />),
  failed: (
    <>
      <path d="M5.3 1.5h5.4l3.8 3.8v5.4l-3.8 3.8H5.3L1.5 10.7V5.3z" fill="currentColor" stroke="none" />
      <path d="M5.7 5.7l4.6 4.6M10.3 5.7l-4.6 4.6" stroke={cut} />
    </>
  ),
  unknown: (
    <>
      <path d="M8 .8 15.2 8 8 15.2.8 8z" fill="currentColor" stroke="none" />
      <path d="M6.4 6.5a1.6 1.6 0 1 1 2.3 1.5c-.5.25-.7.5-.7 1M8 11.2h.01" stroke={cut} />
    </>
  ),
  running: (
    <>
      <circle cx="8" cy="8" r="6" opacity="0.3" />
      <path className="turning" d="M8 2a6 6 0 0 1 6 6" strokeWidth="2" />
    </>
  ),
  cancelling: (
    <>
      <circle cx="8" cy="8" r="6" opacity="0.3" />
      <path className="turning" d="M8 2a6 6 0 0 1 6 6" strokeWidth="2" />
      <path d="M5.7 10.3l4.6-4.6" />
    </>
  ),
  cancelled: (
    <>
      {ring}
      <path d="M3.8 12.2l8.4-8.4" />
    </>
  ),
  timed_out: (
    <>
      {ring}
      <path d="M8 4.6V8l2.3 1.5" />
    </>
  ),
  queued: <circle cx="8" cy="8" r="5.5" strokeDasharray="2.2 2.1" />,
  scheduled: <path d="M2.5 3.5h11v10h-11zM2.5 6.5h11M5.5 2v2.5M10.5 2v2.5" />,
  held: (
    <>
      {ring}
      <path d="M6.4 5.8v4.4M9.6 5.8v4.4" />
    </>
  ),
  missed: (
    <>
      {ring}
      <path d="M8 4.8v3.8M8 11h.01" />
    </>
  ),
  skipped: <path d="M4 8h8" strokeWidth="2" />,
};

export function StatusIcon({ status, size = 14 }: { status: StatusWord; size?: number }) {
  return (
    <svg
      width={size}
      height={size}
      viewBox="0 0 16 16"
      fill="none"
      stroke="currentColor"
      strokeWidth={1.6}
      strokeLinecap="round"
      strokeLinejoin="round"
      aria-hidden="true"
      focusable="false"
    >
      {shapes[status]}
    </svg>
  );
}

export function StatusText({ status, badge, word }: { status: StatusWord; badge?: boolean; word?: string }) {
  return (
    <span className={`status st-${status}${badge ? " badge" : ""}`}>
      <StatusIcon status={status} />
      {word ?? t(`status.${status}`)}
    </span>
  );
}

export type Counts = Record<string, number>;

export function total(counts: Counts): number {
  return Object.values(counts).reduce((a, b) => a + b, 0);
}

// CountBar shows nodes by state; the numbers stand beside it in words.
export function CountBar({ counts }: { counts: Counts }) {
  return (
    <div className="bar" aria-hidden="true">
      {[...order].reverse().map((status) => {
        const n = counts[status];
        return n ? <span key={status} className={`st-${status}`} style={{ flexGrow: n }} /> : null;
      })}
    </div>
  );
}

// countWords tells counts in words: "2 failed, 18 succeeded".
export function countWords(counts: Counts): string {
  return order
    .filter((status) => counts[status])
    .map((status) => t("count.of", { n: counts[status] ?? 0, status: t(`status.${status}`).toLowerCase() }))
    .join(", ");
}
