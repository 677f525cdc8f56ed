import { Bdi } from "../base/Bdi";
import "./jobs.css";
import { Button, TextInput, UnstyledButton } from "@mantine/core";
import { useQueryClient } from "@tanstack/react-query";
import { Link, useNavigate, useParams, useSearch } from "@tanstack/react-router";
import { useVirtualizer } from "@tanstack/react-virtual";
import { useEffect, useMemo, useRef, useState } from "react";
import { api, must } from "../api/client";
import { keys, useJobs, useMe } from "../api/queries";
import { Icon } from "../base/icons";
import { Ago, Answer, Empty, Page, Panel } from "../base/parts";
import { t } from "../text/t";
import { ExecutionList } from "./ExecutionList";
import { ImportDialog } from "./ImportDialog";
import { flatten, treeOf } from "./tree";

export function Jobs() {
  const { project } = useParams({ strict: false }) as { project: string };
  const search = useSearch({ strict: false }) as { q?: string; import?: string };
  const navigate = useNavigate();
  const me = useMe();
  const client = useQueryClient();
  const words = search.q ?? "";
  const query = useJobs(project, words);
  const set = (change: { q?: string | undefined; import?: string | undefined }) =>
    void navigate({
      to: "/projects/$project/jobs",
      params: { project },
      search: { ...search, ...change } as never,
      replace: true,
    });

  // The tree needs all of them; each page is five hundred.
  useEffect(() => {
    if (query.hasNextPage && !query.isFetchingNextPage && !query.isError) void query.fetchNextPage();
  }, [query]);

  const jobs = useMemo(() => query.data?.pages.flatMap((page) => page.items), [query.data]);
  const actions = me.data?.admin ? (
    <>
      {jobs && jobs.length > 0 ? (
        <Button
          component="a"
          variant="default"
          href={`/api/v1/projects/${encodeURIComponent(project)}/export/jobs`}
          download={`${project}-jobs.yaml`}
          leftSection={<Icon name="download" size={14} />}
        >
          {t("jobs.export")}
        </Button>
      ) : null}
      <Button onClick={() => set({ import: "1" })} leftSection={<Icon name="plus" size={14} />}>
        {t("jobs.import")}
      </Button>
    </>
  ) : null;

  return (
    <Page title={t("nav.jobs")} actions={actions}>
      <div className="columns">
        <div className="stack">
          <TextInput
            value={words}
            onChange={(e) => set({ q: e.currentTarget.value || undefined })}
            placeholder={t("jobs.search")}
            aria-label={t("jobs.search")}
            leftSection={<Icon name="search" size={14} />}
          />
          <Panel flush>
            <Answer query={{ ...query, data: jobs }}>
              {(items) =>
                items.length === 0 ? (
                  <Empty icon="jobs" title={words ? t("jobs.noneFound") : t("jobs.none")}>
                    {words ? null : t("jobs.noneHint")}
                  </Empty>
                ) : (
                  <Tree key={project} project={project} items={items} open={words !== ""} />
                )
              }
            </Answer>
          </Panel>
        </div>
        <Panel
          title={t("jobs.recent")}
          flush
          aside={
            <Link to="/executions" search={{ project } as never}>
              {t("home.all")}
            </Link>
          }
        >
          <ExecutionList filter={{ project, limit: 10 }} narrow empty={t("home.nothingYet")} />
        </Panel>
      </div>
      <ImportDialog
        title={t("jobs.importTitle", { project })}
        hint={t("jobs.importHint")}
        opened={search.import !== undefined}
        onClose={() => set({ import: undefined })}
        send={(text) =>
          must(
            api.POST("/api/v1/projects/{project}/jobs/import", {
              params: { path: { project } },
              body: text,
              bodySerializer: (body) => body as string,
              headers: { "Content-Type": "application/yaml" },
            }),
          ).then((result) => {
            void client.invalidateQueries({ queryKey: keys.jobs(project) });
            return result;
          })
        }
        report={(result) => (
          <ul className="problems" style={{ marginTop: 0 }}>
            {result.items.map((item) => (
              <li key={`${item.group}/${item.name}`}>
                <Bdi>{item.group ? `${item.group}/${item.name}` : item.name}</Bdi>: {t(`import.${item.result}`)}
              </li>
            ))}
            {result.warnings.map((w) => (
              <li key={`${w.path} ${w.message}`}>
                <code className="mono">{w.path}</code> <Bdi>{w.message}</Bdi>
              </li>
            ))}
          </ul>
        )}
      />
    </Page>
  );
}

function Tree({ project, items, open }: { project: string; items: Parameters<typeof treeOf>[0]; open: boolean }) {
  const [closed, setClosed] = useState<ReadonlySet<string>>(new Set());
  const tree = useMemo(() => treeOf(items), [items]);
  const rows = useMemo(() => flatten(tree, open ? new Set() : closed), [tree, closed, open]);
  const scroller = useRef<HTMLDivElement>(null);
  const virtual = useVirtualizer({
    count: rows.length,
    getScrollElement: () => scroller.current,
    estimateSize: () => 36,
    overscan: 20,
  });
  const toggle = (path: string) => {
    const next = new Set(closed);
    if (!next.delete(path)) next.add(path);
    setClosed(next);
  };
  return (
    <div ref={scroller} className="tree">
      <ul style={{ height: virtual.getTotalSize() }}>
        {virtual.getVirtualItems().map((item) => {
          const row = rows[item.index];
          if (!row) return null;
          return (
            <li key={item.key} style={{ transform: `translateY(${item.start}px)`, height: item.size }}>
              {row.kind === "group" ? (
                <UnstyledButton
                  className="tree-row group"
                  style={{ paddingLeft: 12 + row.depth * 20 }}
                  aria-expanded={!closed.has(row.group.path)}
                  onClick={() => toggle(row.group.path)}
                >
                  <span className={closed.has(row.group.path) && !open ? "twist" : "twist open"}>
                    <Icon name="chevron" size={12} />
                  </span>
                  <Bdi className="clip">{row.group.name}</Bdi>
                  <span className="muted">{row.group.count}</span>
                </UnstyledButton>
              ) : (
                <Link
                  to="/projects/$project/jobs/$job"
                  params={{ project, job: row.job.id }}
                  className="tree-row"
                  style={{ paddingLeft: 14 + row.depth * 20 }}
                >
                  <Bdi className="clip tree-name">{row.job.name}</Bdi>
                  <Bdi className="muted clip spread">{row.job.description.split("\n")[0]}</Bdi>
                  <span className="muted wide-only" style={{ whiteSpace: "nowrap", fontSize: "0.78rem" }}>
                    <Ago at={row.job.updatedAt} />
                  </span>
                </Link>
              )}
            </li>
          );
        })}
      </ul>
    </div>
  );
}
