import { Bdi } from "../base/Bdi";
import "./jobs.css";
import {
  Autocomplete,
  Button,
  Menu,
  MultiSelect,
  NumberInput,
  PasswordInput,
  Select,
  Tabs,
  TagsInput,
  TextInput,
} from "@mantine/core";
import { useDebouncedValue } from "@mantine/hooks";
import { notifications } from "@mantine/notifications";
import { useMutation, useQueryClient } from "@tanstack/react-query";
import { useNavigate, useParams, useSearch } from "@tanstack/react-router";
import { type FormEvent, type ReactNode, useState } from "react";
import { api, type Execution, errorOf, type JobOption, type JobStep, type Job as JobType, must } from "../api/client";
import { keys, useExecution, useJob, useMe } from "../api/queries";
import { useRequestKey } from "../api/request";
import { Icon } from "../base/icons";
import { Answer, Back, Copy, ErrorNote, Note, Page, Panel, Tags, When } from "../base/parts";
import { shown } from "../base/shown";
import { duration } from "../base/time";
import { t } from "../text/t";
import { ExecutionList } from "./ExecutionList";
import { NodePreview } from "./NodePreview";
import { nowhere, type Only, OnlyNote, useOnly } from "./Only";
import { formAddress, initialValues, join, missing, split, toSend, type Values } from "./options";
import { isOver, runAt, StartAt } from "./StartAt";

export function JobPage() {
  const { project, job } = useParams({ strict: false }) as { project: string; job: string };
  const search = useSearch({ strict: false }) as { from?: string; tab?: string; only?: string };
  const query = useJob(project, job);
  const last = useExecution(search.from ?? "");
  const only = useOnly(search.only === "failed", last.data, search.from ?? "");
  const ready = search.from === undefined || last.data !== undefined || last.isError;
  if (!query.data || !ready)
    return (
      <Page title={t("nav.jobs")}>
        <Answer query={query}>{() => null}</Answer>
      </Page>
    );
  return (
    <Loaded
      key={`${query.data.id} ${search.from ?? ""} ${search.only ?? ""}`}
      project={project}
      job={query.data}
      last={last.data}
      lastError={last.error}
      only={only}
    />
  );
}

function Loaded({
  project,
  job,
  last,
  lastError,
  only,
}: {
  project: string;
  job: JobType;
  last: Execution | undefined;
  lastError: unknown;
  only: Only | undefined;
}) {
  const search = useSearch({ strict: false }) as Record<string, string>;
  const navigate = useNavigate();
  const tab = search.tab ?? "run";
  const name = job.group ? `${job.group}/${job.name}` : job.name;
  return (
    <Page
      title={name}
      above={<Back to={`/projects/${project}/jobs`} label={t("nav.jobs")} />}
      actions={<Actions project={project} job={job} />}
    >
      {job.description ? (
        <p className="muted" style={{ margin: 0, whiteSpace: "pre-line", maxWidth: 760 }}>
          <Bdi>{job.description}</Bdi>
        </p>
      ) : null}
      <Tabs
        value={tab}
        onChange={(value) =>
          void navigate({
            to: "/projects/$project/jobs/$job",
            params: { project, job: job.id },
            search: { ...search, tab: value === "run" ? undefined : value } as never,
            replace: true,
          })
        }
        keepMounted={false}
      >
        <Tabs.List>
          <Tabs.Tab value="run">{t("job.run")}</Tabs.Tab>
          <Tabs.Tab value="definition">{t("job.definition")}</Tabs.Tab>
          <Tabs.Tab value="history">{t("job.history")}</Tabs.Tab>
        </Tabs.List>
        <Tabs.Panel value="run" pt="md">
          <div className="columns">
            <div className="stack">
              {last === undefined && lastError ? <ErrorNote error={lastError} /> : null}
              <RunForm project={project} job={job} last={last} only={only} />
            </div>
            <div className="stack">
              <Panel title={t("job.recent")} flush>
                <ExecutionList filter={{ project, job: job.id, limit: 8 }} narrow empty={t("job.neverRan")} />
              </Panel>
            </div>
          </div>
        </Tabs.Panel>
        <Tabs.Panel value="definition" pt="md">
          <Definition job={job} />
        </Tabs.Panel>
        <Tabs.Panel value="history" pt="md">
          <Panel flush>
            <ExecutionList filter={{ project, job: job.id }} empty={t("job.neverRan")} />
          </Panel>
        </Tabs.Panel>
      </Tabs>
    </Page>
  );
}

function Actions({ project, job }: { project: string; job: JobType }) {
  const me = useMe();
  const client = useQueryClient();
  const navigate = useNavigate();
  const remove = useMutation({
    mutationFn: () =>
      must(
        api.DELETE("/api/v1/projects/{project}/jobs/{job}", {
          params: { path: { project, job: job.id }, header: { "If-Match": `"${job.revision}"` } },
        }),
      ),
    onSuccess: () => {
      void client.invalidateQueries({ queryKey: keys.jobs(project) });
      void navigate({ to: "/projects/$project/jobs", params: { project } });
    },
    onError: (cause) =>
      notifications.show({ color: "red", title: t("job.deleteFailed"), message: errorOf(cause).message }),
  });
  return (
    <Menu position="bottom-end">
      <Menu.Target>
        <Button variant="default" aria-label={t("job.actions")} px={10}>
          <Icon name="dots" />
        </Button>
      </Menu.Target>
      <Menu.Dropdown>
        <Menu.Item
          component="a"
          href={`/api/v1/projects/${encodeURIComponent(project)}/jobs/${job.id}/export`}
          download={`${job.name}.yaml`}
          leftSection={<Icon name="download" size={14} />}
        >
          {t("job.export")}
        </Menu.Item>
        {me.data?.admin ? (
          <Menu.Item
            color="red"
            leftSection={<Icon name="trash" size={14} />}
            onClick={() => window.confirm(t("job.deleteAsk", { name: job.name })) && remove.mutate()}
          >
            {t("job.delete")}
          </Menu.Item>
        ) : null}
      </Menu.Dropdown>
    </Menu>
  );
}

function RunForm({
  project,
  job,
  last,
  only,
}: {
  project: string;
  job: JobType;
  last: Execution | undefined;
  only: Only | undefined;
}) {
  const navigate = useNavigate();
  const address = new URLSearchParams(window.location.search);
  const [values, setValues] = useState<Values>(() => initialValues(job.options, last, address));
  const own = job.dispatch.filter ?? "";
  const [filter, setFilter] = useState(
    () => address.get("filter") ?? (job.dispatch.editable ? last?.nodeFilter : undefined) ?? own,
  );
  const [threads, setThreads] = useState<number | string>("");
  const [startAt, setStartAt] = useState("");
  const [tried, setTried] = useState(false);
  const { key, renew } = useRequestKey();
  const lacks = missing(job.options, values);

  const run = useMutation({
    mutationFn: () =>
      must(
        api.POST("/api/v1/projects/{project}/jobs/{job}/executions", {
          params: { path: { project, job: job.id }, header: { "Idempotency-Key": key } },
          body: {
            options: toSend(job.options, values),
            ...(job.dispatch.nodes && job.dispatch.editable && filter !== own ? { nodeFilter: filter } : {}),
            ...(only ? { nodes: only.nodes ?? [] } : {}),
            ...(typeof threads === "number" ? { threadcount: threads } : {}),
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
    if (lacks.length === 0 && !nowhere(only) && !isOver(startAt)) run.mutate();
  };
  const set = (name: string, value: string) => setValues((old) => ({ ...old, [name]: value }));
  const shown = job.options.filter((o) => !o.hidden);
  return (
    <form onSubmit={submit} className="stack">
      <Panel title={t("job.options")}>
        <div className="stack">
          {last ? <Note>{t("job.filledFrom", { number: String(last.number) })}</Note> : null}
          {only ? <OnlyNote only={only} number={last?.number} /> : null}
          {shown.length === 0 ? <span className="muted">{t("job.noOptions")}</span> : null}
          {shown.map((option) => (
            <Option
              key={option.name}
              option={option}
              value={values[option.name] ?? ""}
              onChange={(value) => set(option.name, value)}
              error={tried && lacks.includes(option.name) ? t("job.required") : errorField(run.error, option.name)}
            />
          ))}
        </div>
      </Panel>
      <Panel title={t("job.where")}>
        <Where
          project={project}
          job={job}
          filter={filter}
          setFilter={setFilter}
          threads={threads}
          setThreads={setThreads}
        />
      </Panel>
      <Panel>
        <StartAt
          value={startAt}
          onChange={setStartAt}
          error={errorField(run.error, "runAt") ?? (tried && isOver(startAt) ? t("run.startPast") : undefined)}
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
          {startAt ? t("run.later") : t("run.now")}
        </Button>
        <span className="spread" />
        <Copy
          text={formAddress(
            window.location.origin + window.location.pathname,
            job.options,
            values,
            only || filter !== own ? filter : "",
            only ? (address.get("from") ?? "") : "",
            only?.failed,
          )}
          label={t("job.copyLink")}
        />
      </div>
    </form>
  );
}

function errorField(error: unknown, name: string): string | undefined {
  return error ? errorOf(error).field(name) : undefined;
}

function Where({
  project,
  job,
  filter,
  setFilter,
  threads,
  setThreads,
}: {
  project: string;
  job: JobType;
  filter: string;
  setFilter: (filter: string) => void;
  threads: number | string;
  setThreads: (threads: number | string) => void;
}) {
  const [settled] = useDebouncedValue(filter, 250);
  const d = job.dispatch;
  if (!d.nodes) return <span>{t("job.onRunner")}</span>;
  const dynamic = settled.includes("${");
  return (
    <div className="stack">
      <TextInput
        label={t("job.filter")}
        description={d.editable ? undefined : t("job.filterFixed")}
        value={filter}
        readOnly={!d.editable}
        onChange={(e) => setFilter(e.currentTarget.value)}
        classNames={{ input: "mono" }}
        spellCheck={false}
      />
      {d.filterExclude ? (
        <div className="muted">
          {t("job.exclude")} <Bdi className="mono">{d.filterExclude}</Bdi>
        </div>
      ) : null}
      {dynamic ? (
        <span className="muted">{t("job.filterDynamic")}</span>
      ) : (
        <NodePreview project={project} filter={settled} exclude={d.filterExclude ?? ""} />
      )}
      <NumberInput
        label={t("job.threads")}
        w={180}
        min={1}
        max={10000}
        value={threads}
        placeholder={d.threadcount || "1"}
        onChange={setThreads}
        allowDecimal={false}
      />
    </div>
  );
}

function Option({
  option,
  value,
  onChange,
  error,
}: {
  option: JobOption;
  value: string;
  onChange: (value: string) => void;
  error: string | undefined;
}) {
  const props = {
    label: <Bdi>{option.label || option.name}</Bdi>,
    description: <Description option={option} />,
    required: option.required && !(option.secure && option.storagePath),
    error,
    spellCheck: false,
  };
  const values = [...new Set(option.values ?? [])];
  const choices = values.map((value) => ({ value, label: shown(value) }));
  if (option.secure)
    return (
      <PasswordInput
        {...props}
        autoComplete="off"
        value={value}
        placeholder={option.storagePath ? t("job.fromKey", { path: option.storagePath }) : ""}
        onChange={(e) => onChange(e.currentTarget.value)}
      />
    );
  if (option.multivalued && option.enforced)
    return (
      <MultiSelect
        {...props}
        data={choices}
        value={split(option, value)}
        onChange={(v) => onChange(join(option, v))}
        searchable={values.length > 8}
        clearable
      />
    );
  if (option.multivalued)
    return (
      <TagsInput
        {...props}
        data={values}
        renderOption={renderValue}
        value={split(option, value)}
        onChange={(v) => onChange(join(option, v))}
        clearable
      />
    );
  if (option.enforced)
    return (
      <Select
        {...props}
        data={choices}
        value={value === "" ? null : value}
        onChange={(v) => onChange(v ?? "")}
        searchable={values.length > 8}
        clearable={!option.required}
      />
    );
  if (values.length > 0)
    return <Autocomplete {...props} data={values} renderOption={renderValue} value={value} onChange={onChange} />;
  return <TextInput {...props} value={value} onChange={(e) => onChange(e.currentTarget.value)} />;
}

// renderValue shows a value that is put into a box as it is.
const renderValue = ({ option }: { option: { value: string } }) => <Bdi>{option.value}</Bdi>;

function Description({ option }: { option: JobOption }): ReactNode {
  const parts: ReactNode[] = [];
  if (option.description) parts.push(<Bdi key="d">{option.description}</Bdi>);
  if (option.regex)
    parts.push(
      <span key="r">
        {t("job.mustMatch")} <Bdi className="mono">{option.regex}</Bdi>
      </span>,
    );
  if (option.secure && !option.valueExposed) parts.push(<span key="s">{t("job.authOnly")}</span>);
  if (parts.length === 0) return undefined;
  return <span style={{ display: "flex", flexDirection: "column" }}>{parts}</span>;
}

function Definition({ job }: { job: JobType }) {
  const d = job.dispatch;
  return (
    <div className="columns even">
      <Panel title={t("job.steps")}>
        <ol className="steps">
          {job.steps.map((step) => (
            <li key={step.position}>
              <span className="step-no">{step.position}</span>
              <StepView step={step} />
            </li>
          ))}
        </ol>
      </Panel>
      <div className="stack">
        <Panel title={t("job.facts")}>
          <dl className="facts">
            <dt>{t("job.strategy")}</dt>
            <dd>{t(`strategy.${job.strategy}`)}</dd>
            <dt>{t("job.onFailure")}</dt>
            <dd>
              {job.keepgoing ? t("job.goOnSteps") : t("job.stopSteps")}{" "}
              {d.nodes ? (d.keepgoing ? t("job.goOnNodes") : t("job.stopNodes")) : ""}
            </dd>
            <dt>{t("job.threads")}</dt>
            <dd>{d.threadcount || "1"}</dd>
            <dt>{t("job.atOnce")}</dt>
            <dd>
              {job.atOnce === 0
                ? t("job.atOnceAny")
                : job.atOnce === 1
                  ? t("job.atOnceOne")
                  : t("job.atOnceMost", { n: job.atOnce })}
            </dd>
            {job.timeout ? (
              <>
                <dt>{t("job.timeout")}</dt>
                <dd className="mono">{job.timeout}</dd>
              </>
            ) : null}
            {job.runnerTags.length > 0 ? (
              <>
                <dt>{t("job.runnerTags")}</dt>
                <dd>
                  <Tags tags={job.runnerTags} />
                </dd>
              </>
            ) : null}
            {job.runnerTimeoutMs ? (
              <>
                <dt>{t("job.runnerTimeout")}</dt>
                <dd>{duration(job.runnerTimeoutMs)}</dd>
              </>
            ) : null}
            <dt>{t("job.revision")}</dt>
            <dd>
              {job.revision} · <When at={job.updatedAt} />
            </dd>
            <dt>UUID</dt>
            <dd className="mono">{job.uuid}</dd>
          </dl>
        </Panel>
        <Panel title={t("job.source")} aside={<Copy text={job.source} />} flush>
          <pre className="code" style={{ border: 0, borderRadius: 0, maxHeight: 520 }}>
            {job.source}
          </pre>
        </Panel>
      </div>
    </div>
  );
}

function StepView({ step }: { step: JobStep }) {
  return (
    <div>
      <div className="row wrap">
        <strong>
          <Bdi>{step.description || (step.kind === "script" ? t("job.script") : t("job.command"))}</Bdi>
        </strong>
        {step.idempotent ? <span className="chip">{t("job.idempotent")}</span> : null}
        {step.detached ? <span className="chip">{t("job.detached")}</span> : null}
        {step.retries > 0 ? <span className="chip">{t("job.retries", { n: step.retries })}</span> : null}
        {step.timeoutMs ? (
          <span className="chip">{t("job.stepTimeout", { time: duration(step.timeoutMs) })}</span>
        ) : null}
        {step.continueOnUnknown ? <span className="chip">{t("job.onUnknown")}</span> : null}
        {step.interpreter ? <span className="chip mono">{step.interpreter}</span> : null}
      </div>
      <pre className="code">{step.exec ?? step.script}</pre>
      {step.args ? (
        <div className="muted">
          {t("job.args")} <Bdi className="mono">{step.args}</Bdi>
        </div>
      ) : null}
      {step.probe ? (
        <div className="muted">
          {t("job.probe")} <Bdi className="mono">{step.probe}</Bdi>
        </div>
      ) : null}
      {step.errorHandler ? (
        <div style={{ marginTop: 8, paddingLeft: 12, borderLeft: "2px solid var(--st-failed)" }}>
          <div className="muted">{t("job.handler")}</div>
          <StepView step={step.errorHandler} />
        </div>
      ) : null}
    </div>
  );
}
