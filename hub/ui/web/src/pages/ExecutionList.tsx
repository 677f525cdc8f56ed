import { Bdi } from "../base/Bdi";
import "./executions.css";
import { UnstyledButton } from "@mantine/core";
import { Link } from "@tanstack/react-router";
import { memo, useEffect, useMemo, useRef } from "react";
import type { Execution } from "../api/client";
import { usePoll } from "../api/link";
import { news } from "../api/live";
import { type ExecutionFilter, useExecutions } from "../api/queries";
import { Ago, Answer, Elapsed, Empty, More } from "../base/parts";
import { CountBar, countWords, StatusText } from "../base/Status";
import { useStore } from "../base/store";
import { Wait } from "../base/Wait";
import { t } from "../text/t";

// ExecutionList is a page of executions, newest first. Its rows change in place; rows
// that come or go wait while a pointer or the focus is on the list.
export function ExecutionList({
  filter,
  showProject,
  narrow,
  empty,
}: {
  filter: ExecutionFilter;
  showProject?: boolean;
  narrow?: boolean;
  empty: string;
}) {
  const query = useExecutions(filter);
  const items = useMemo(() => query.data?.pages.flatMap((page) => page.items), [query.data]);
  const fresh = useFresh(filter, items, query.dataUpdatedAt);
  const box = useRef<HTMLDivElement>(null);
  const dirty = fresh > 0 || (items?.some((item) => !matches(item, filter)) ?? false);
  const { refetch } = query;
  const every = usePoll();
  useEffect(() => {
    const timer = setInterval(
      () => {
        // A reading on its way is waited for: where it takes longer than this, none would end.
        if (!busy(box.current) && document.visibilityState === "visible") void refetch({ cancelRefetch: false });
      },
      dirty ? 700 : every,
    );
    return () => clearInterval(timer);
  }, [dirty, every, refetch]);
  return (
    <Answer query={{ ...query, data: items }}>
      {(rows) => (
        <div className={narrow ? "runs narrow" : "runs"} ref={box}>
          {fresh > 0 ? (
            <UnstyledButton className="fresh" onClick={() => void refetch()}>
              {t("executions.new", { n: fresh })}
            </UnstyledButton>
          ) : null}
          {rows.length === 0 ? <Empty title={empty} /> : null}
          {rows.map((execution) => (
            <Run key={execution.id} execution={execution} showProject={showProject ?? false} />
          ))}
          <More query={query} />
        </div>
      )}
    </Answer>
  );
}

// matches tells whether a row belongs into a list with this filter.
export function matches(e: Execution, filter: ExecutionFilter): boolean {
  if (filter.status?.length && !filter.status.includes(e.status)) return false;
  if (filter.project && e.project !== filter.project) return false;
  return !filter.job || e.job?.id === filter.job;
}

// useFresh counts executions that would be in the list if it were read now.
function useFresh(filter: ExecutionFilter, items: Execution[] | undefined, readAt: number): number {
  const all = useStore(news);
  if (!items) return 0;
  const held = new Set(items.map((item) => item.id));
  return all.filter((n) => n.at > readAt && !held.has(n.execution.id) && matches(n.execution, filter)).length;
}

function busy(box: HTMLElement | null): boolean {
  return box !== null && (box.matches(":hover") || box.contains(document.activeElement));
}

// A row is painted when its execution changes, not with each reading of a long list.
const Run = memo(function Run({ execution: e, showProject }: { execution: Execution; showProject: boolean }) {
  return (
    <Link to="/executions/$id" params={{ id: String(e.number) }} className="run">
      <StatusText status={e.status} />
      <div className="run-name">
        <span className="first">
          <Bdi className="clip">{e.name}</Bdi>
          <span className="muted">#{e.number}</span>
        </span>
        {e.waitingFor ? (
          <Wait wait={e.waitingFor} />
        ) : (
          <span className="second clip">
            {showProject
              ? t("executions.byIn", { user: e.startedBy, project: e.project })
              : t("executions.by", { user: e.startedBy })}
          </span>
        )}
      </div>
      <div className="run-counts">
        <CountBar counts={e.nodes} />
        <span className="clip">{countWords(e.nodes) || t("executions.noNodes")}</span>
      </div>
      <span className="run-time">
        <Ago at={e.startedAt ?? e.createdAt} />
      </span>
      <span className="run-time length">
        <Elapsed from={e.startedAt} to={e.endedAt} />
      </span>
    </Link>
  );
});
