import { Select } from "@mantine/core";
import { useNavigate, useSearch } from "@tanstack/react-router";
import type { Status } from "../api/client";
import { useProjects } from "../api/queries";
import { FilterChip, Page, Panel } from "../base/parts";
import { StatusIcon } from "../base/Status";
import { t } from "../text/t";
import { ExecutionList } from "./ExecutionList";

// Every state that an execution can have: nodes alone are skipped.
const choices: Status[] = [
  "running",
  "queued",
  "scheduled",
  "held",
  "cancelling",
  "failed",
  "unknown",
  "timed_out",
  "cancelled",
  "missed",
  "succeeded",
];

// Executions lists all runs; its filter lives in the address.
export function Executions() {
  const search = useSearch({ strict: false }) as { status?: string; project?: string; job?: string };
  const navigate = useNavigate();
  const projects = useProjects();
  const chosen = (search.status?.split(",").filter(Boolean) ?? []) as Status[];
  const set = (change: Record<string, string | undefined>) => {
    void navigate({ to: "/executions", search: { ...search, ...change } as never, replace: true });
  };
  const toggle = (status: Status) => {
    const next = chosen.includes(status) ? chosen.filter((s) => s !== status) : [...chosen, status];
    set({ status: next.join(",") || undefined });
  };
  return (
    <Page title={t("nav.executions")}>
      <div className="row wrap">
        {choices.map((status) => (
          <FilterChip key={status} on={chosen.includes(status)} onClick={() => toggle(status)}>
            <span className={`status st-${status}`}>
              <StatusIcon status={status} size={12} />
            </span>
            {t(`status.${status}`)}
          </FilterChip>
        ))}
        <span className="spread" />
        <Select
          size="xs"
          w={190}
          clearable
          searchable
          placeholder={t("executions.anyProject")}
          aria-label={t("executions.project")}
          data={projects.data?.items.map((p) => p.name) ?? []}
          value={search.project ?? null}
          onChange={(project) => set({ project: project ?? undefined })}
        />
      </div>
      <Panel flush>
        <ExecutionList
          filter={{
            ...(search.project ? { project: search.project } : {}),
            ...(search.job ? { job: search.job } : {}),
            status: chosen,
          }}
          showProject={!search.project}
          empty={chosen.length || search.project ? t("executions.none") : t("home.nothingYet")}
        />
      </Panel>
    </Page>
  );
}
