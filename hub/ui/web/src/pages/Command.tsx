import "./jobs.css";
import { Button, Checkbox, NumberInput, SegmentedControl, Textarea, TextInput } from "@mantine/core";
import { useDebouncedValue } from "@mantine/hooks";
import { useMutation } from "@tanstack/react-query";
import { useNavigate, useParams, useSearch } from "@tanstack/react-router";
import { type FormEvent, type KeyboardEvent, useState } from "react";
import { api, type Execution, errorOf, must } from "../api/client";
import { given, useExecution } from "../api/queries";
import { useRequestKey } from "../api/request";
import { Icon } from "../base/icons";
import { Copy, ErrorNote, Loading, Note, Page, Panel } from "../base/parts";
import { t } from "../text/t";
import { ExecutionList } from "./ExecutionList";
import { NodePreview } from "./NodePreview";
import { nowhere, type Only, OnlyNote, useOnly } from "./Only";
import { onNodesOf } from "./options";
import { isOver, runAt, StartAt } from "./StartAt";

interface Address {
  from?: string;
  filter?: string;
  command?: string;
  only?: string;
}

// runOnEnter lets one line be run as it is in a shell; Shift and Enter begin another line.
function runOnEnter(event: KeyboardEvent<HTMLTextAreaElement>) {
  if (event.key !== "Enter" || event.shiftKey || event.nativeEvent.isComposing) return;
  event.preventDefault();
  event.currentTarget.form?.requestSubmit();
}

export function Command() {
  const { project } = useParams({ strict: false }) as { project: string };
  const search = useSearch({ strict: false }) as Address;
  const last = useExecution(search.from ?? "");
  const only = useOnly(search.only === "failed", last.data, search.from ?? "");
  if (search.from !== undefined && !last.data && !last.isError)
    return (
      <Page title={t("nav.command")}>
        <Loading />
      </Page>
    );
  return (
    <Form
      key={`${project} ${search.from ?? ""} ${search.only ?? ""}`}
      project={project}
      search={search}
      last={last.data}
      lastError={last.error}
      only={only}
    />
  );
}

function Form({
  project,
  search,
  last,
  lastError,
  only,
}: {
  project: string;
  search: Address;
  last: Execution | undefined;
  lastError: unknown;
  only: Only | undefined;
}) {
  const navigate = useNavigate();
  // Never a step's label in its place: that is one line of the command, cut short.
  const before = last?.command;
  const [kind, setKind] = useState(before?.script ? "script" : "command");
  const [command, setCommand] = useState(search.command ?? before?.command ?? "");
  const [script, setScript] = useState(before?.script ?? "#!/bin/sh\nset -eu\n\n");
  const [args, setArgs] = useState(before?.args ?? "");
  const [interpreter, setInterpreter] = useState(before?.interpreter ?? "");
  const [filter, setFilter] = useState(search.filter ?? before?.nodeFilter ?? "");
  const [settled] = useDebouncedValue(filter, 250);
  const [threads, setThreads] = useState<number | string>(before?.threadcount ?? 1);
  const [keepgoing, setKeepgoing] = useState(before?.keepgoing ?? false);
  const [timeout, setTimeout] = useState<number | string>(before?.timeoutMs ? before.timeoutMs / 1000 : "");
  const [startAt, setStartAt] = useState("");
  const [tried, setTried] = useState(false);
  const { key, renew } = useRequestKey();
  const run = useMutation({
    mutationFn: () =>
      must(
        api.POST("/api/v1/projects/{project}/executions", {
          params: { path: { project }, header: { "Idempotency-Key": key } },
          body: {
            ...(kind === "command" ? { command } : { script, ...given({ args, interpreter }) }),
            ...(filter.trim() ? { nodeFilter: filter } : {}),
            ...(only ? { nodes: only.nodes ?? [] } : {}),
            ...(typeof threads === "number" ? { threadcount: threads } : {}),
            ...(typeof timeout === "number" ? { timeoutMs: timeout * 1000 } : {}),
            keepgoing,
            ...runAt(startAt),
          },
        }),
      ),
    onSuccess: (execution) => void navigate({ to: "/executions/$id", params: { id: String(execution.number) } }),
    onError: renew,
  });
  const submit = (event: FormEvent) => {
    event.preventDefault();
    setTried(true);
    if (!nowhere(only) && !isOver(startAt)) run.mutate();
  };
  const link = () => {
    const url = new URL(window.location.origin + window.location.pathname);
    if (kind === "command" && command) url.searchParams.set("command", command);
    if (filter) url.searchParams.set("filter", filter);
    if (only) onNodesOf(url, search.from ?? "", only.failed);
    return url.toString();
  };
  return (
    <Page title={t("nav.command")}>
      <div className="columns">
        <form onSubmit={submit} className="stack">
          <Panel>
            <div className="stack">
              {search.from !== undefined && !before ? (
                lastError && !last ? (
                  <ErrorNote error={lastError} />
                ) : (
                  <Note kind="warn">{t("command.notFilled", { number: search.from })}</Note>
                )
              ) : null}
              {before && last ? <Note>{t("command.filledFrom", { number: String(last.number) })}</Note> : null}
              {only ? <OnlyNote only={only} number={last?.number} /> : null}
              <SegmentedControl
                size="xs"
                w={220}
                value={kind}
                onChange={setKind}
                data={[
                  { value: "command", label: t("job.command") },
                  { value: "script", label: t("job.script") },
                ]}
              />
              {kind === "command" ? (
                <Textarea
                  label={t("command.line")}
                  value={command}
                  autosize
                  minRows={1}
                  maxRows={12}
                  onKeyDown={runOnEnter}
                  onChange={(e) => setCommand(e.currentTarget.value)}
                  required
                  withAsterisk={false}
                  classNames={{ input: "mono" }}
                  spellCheck={false}
                  autoCapitalize="off"
                  autoCorrect="off"
                  data-autofocus
                />
              ) : (
                <>
                  <Textarea
                    label={t("job.script")}
                    value={script}
                    onChange={(e) => setScript(e.currentTarget.value)}
                    rows={10}
                    required
                    withAsterisk={false}
                    classNames={{ input: "mono" }}
                    spellCheck={false}
                  />
                  <TextInput
                    label={t("job.args")}
                    value={args}
                    onChange={(e) => setArgs(e.currentTarget.value)}
                    classNames={{ input: "mono" }}
                    spellCheck={false}
                  />
                  <TextInput
                    label={t("command.interpreter")}
                    description={t("command.interpreterHint")}
                    value={interpreter}
                    onChange={(e) => setInterpreter(e.currentTarget.value)}
                    classNames={{ input: "mono" }}
                    spellCheck={false}
                  />
                </>
              )}
              <TextInput
                label={t("job.filter")}
                description={t("command.filterHint")}
                placeholder="tags: web+dc1"
                value={filter}
                onChange={(e) => setFilter(e.currentTarget.value)}
                classNames={{ input: "mono" }}
                spellCheck={false}
                autoCapitalize="off"
                autoCorrect="off"
              />
              {filter.trim() ? (
                <NodePreview project={project} filter={settled} />
              ) : (
                <div className="preview muted">{t("command.onRunner")}</div>
              )}
              <div className="row wrap" style={{ gap: 20, alignItems: "flex-end" }}>
                <NumberInput
                  label={t("job.threads")}
                  w={140}
                  min={1}
                  max={10000}
                  value={threads}
                  onChange={setThreads}
                  allowDecimal={false}
                />
                <NumberInput
                  label={t("command.timeout")}
                  w={140}
                  min={1}
                  max={31_622_400}
                  value={timeout}
                  placeholder={t("command.noTimeout")}
                  onChange={setTimeout}
                  allowDecimal={false}
                />
                <Checkbox
                  label={t("command.keepgoing")}
                  checked={keepgoing}
                  onChange={(e) => setKeepgoing(e.currentTarget.checked)}
                  pb={8}
                />
              </div>
            </div>
          </Panel>
          <Panel>
            <StartAt
              value={startAt}
              onChange={setStartAt}
              error={
                (run.error ? errorOf(run.error).field("runAt") : undefined) ??
                (tried && isOver(startAt) ? t("run.startPast") : undefined)
              }
            />
          </Panel>
          {run.error ? <ErrorNote error={run.error} /> : null}
          <div className="row wrap form-end">
            <Button
              type="submit"
              size="md"
              loading={run.isPending}
              disabled={nowhere(only)}
              leftSection={<Icon name="play" size={14} />}
            >
              {startAt ? t("run.later") : t("command.run")}
            </Button>
            <span className="spread" />
            <Copy text={link()} label={t("job.copyLink")} />
          </div>
        </form>
        <Panel title={t("jobs.recent")} flush>
          <ExecutionList filter={{ project, limit: 10 }} narrow empty={t("home.nothingYet")} />
        </Panel>
      </div>
    </Page>
  );
}
