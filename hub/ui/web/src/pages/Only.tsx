import type { Execution } from "../api/client";
import { useMatrix } from "../api/queries";
import { ErrorNote, Loading, Note } from "../base/parts";
import { t } from "../text/t";

// Only is where a run goes again: those nodes of an earlier one that failed, or all of
// one whose start named them. They go to the hub by name: a filter would read names as
// patterns. While they are not known nothing may run, since a run without its list goes
// to all nodes.
export interface Only {
  failed: boolean;
  nodes: string[] | undefined;
  error: unknown;
  retry: () => void;
}

// useOnly is undefined for a run on all nodes.
export function useOnly(failed: boolean, last: Execution | undefined, from: string): Only | undefined {
  const wanted = failed || last?.nodesNamed === true;
  const matrix = useMatrix(wanted ? from : "", false);
  if (!wanted) return undefined;
  // What still belongs to another execution is not known of this one.
  const rows = from === "" ? [] : matrix.isPlaceholderData ? undefined : matrix.data;
  return {
    failed,
    nodes: rows?.filter((r) => !failed || r.status === "failed" || r.status === "timed_out").map((r) => r.node),
    error: matrix.error,
    retry: () => void matrix.refetch(),
  };
}

// nowhere: a run on some nodes has none, or does not know them yet.
export function nowhere(only: Only | undefined): boolean {
  return only !== undefined && !only.nodes?.length;
}

export function OnlyNote({ only, number }: { only: Only; number: number | undefined }) {
  if (!only.nodes) return only.error ? <ErrorNote error={only.error} onRetry={only.retry} /> : <Loading />;
  const n = only.nodes.length;
  if (n === 0) return <Note kind="bad">{t("job.onlyNone")}</Note>;
  const names = only.nodes.slice(0, 12).join(", ");
  const key = only.failed ? (n > 12 ? "job.onlySome" : "job.only") : n > 12 ? "job.sameSome" : "job.same";
  return <Note kind="warn">{t(key, { n, number: String(number ?? ""), names })}</Note>;
}
