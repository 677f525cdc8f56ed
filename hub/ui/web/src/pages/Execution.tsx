import { Bdi } from "../base/Bdi";
import "./execution.css";
import { Button, Menu, Popover, SegmentedControl, TextInput } from "@mantine/core";
import { notifications } from "@mantine/notifications";
import { useMutation, useQueryClient } from "@tanstack/react-query";
import { Link, useNavigate, useParams, useSearch } from "@tanstack/react-router";
import { useEffect, useMemo, useRef, useState } from "react";
import {
  api,
  type ExecutionNode,
  type ExecutionStep,
  type Execution as ExecutionType,
  errorOf,
  must,
  type Status,
} from "../api/client";
import { takeExecution } from "../api/live";
import { keys, useExecution, useMatrix, useRunners } from "../api/queries";
import { Icon } from "../base/icons";
import { projectInView } from "../base/local";
import { Answer, Elapsed, ErrorNote, FilterChip, Loading, Note, PageTitle, useTitle, When } from "../base/parts";
import { CountBar, isFinal, order, StatusIcon, StatusText } from "../base/Status";
import { hubNow, inZone } from "../base/time";
import { Since, Wait, waitOf } from "../base/Wait";
import { LogView, useSession } from "../log/LogView";
import { LogSession } from "../log/session";
import { cellOf, cellStatus, columnsOf, filterRows, stepName } from "../matrix/grid";
import { type Choice, Matrix } from "../matrix/Matrix";
import { MatrixTable } from "../matrix/MatrixTable";
import { t } from "../text/t";

interface Address {
  node?: string;
  // step counts from 1 in addresses, as people do.
  step?: string;
  // at is the position in front of a log line; "start" is the first.
  at?: string;
  state?: string;
  find?: string;
  view?: string;
}

export function ExecutionPage() {
  const { id } = useParams({ strict: false }) as { id: string };
  const query = useExecution(id);
  if (!query.data)
    return (
      <div className="page">
        <Answer query={query}>{() => null}</Answer>
      </div>
    );
  return <Loaded key={query.data.id} id={id} execution={query.data} />;
}

function Loaded({ id, execution: e }: { id: string; execution: ExecutionType }) {
  useTitle(t("execution.title", { status: t(`status.${e.status}`), number: String(e.number), name: e.name }));
  const search = useSearch({ strict: false }) as Address;
  const navigate = useNavigate();
  const open = !isFinal(e.status);
  const matrix = useMatrix(id, open);
  const [side, setSide] = useState<"nodes" | "log">(search.node || search.at ? "log" : "nodes");
  const choice: Choice = { node: search.node ?? "", step: search.step ? Number(search.step) - 1 : -1 };
  const steps = columnsOf(e.steps ?? []);
  const chosenStep = steps.find((step) => step.position === choice.step);
  useEffect(() => {
    projectInView.set(e.project);
    return () => projectInView.set("");
  }, [e.project]);

  const set = (change: Address) => {
    void navigate({
      to: "/executions/$id",
      params: { id },
      search: clean({ ...search, ...change }) as never,
      replace: true,
    });
  };
  const logSide = useRef<HTMLDivElement>(null);
  const closing = useRef(false);
  // The chip that is closed goes with the focus, which goes on at the lines that come.
  useEffect(() => {
    if (closing.current && choice.node === "")
      logSide.current?.querySelector<HTMLElement>(".log-lines")?.focus({ preventScroll: true });
    closing.current = false;
  }, [choice.node]);
  const choose = (c: Choice) => {
    set({ node: c.node || undefined, step: c.step >= 0 ? String(c.step + 1) : undefined, at: undefined });
    if (c.node) setSide("log");
  };

  const chosenNode = matrix.data?.find((row) => row.node === choice.node);
  return (
    <div className="exec">
      <Head execution={e} />
      <div className="narrow-only" style={{ padding: 8 }}>
        <SegmentedControl
          fullWidth
          size="xs"
          value={side}
          onChange={(v) => setSide(v as "nodes" | "log")}
          data={[
            { value: "nodes", label: t("execution.nodes") },
            { value: "log", label: t("execution.log") },
          ]}
        />
      </div>
      <div className="exec-body">
        <div className={`exec-left${side === "nodes" ? "" : " unseen"}`}>
          <NodesSide execution={e} matrix={matrix} search={search} set={set} choice={choice} choose={choose} />
        </div>
        <div className={`exec-right${side === "log" ? "" : " unseen"}`} ref={logSide}>
          {chosenNode ? <CellFacts execution={e} row={chosenNode} step={chosenStep} /> : null}
          <LogSide
            execution={e}
            choice={choice}
            at={search.at}
            onAt={(at) => set({ at })}
            head={
              choice.node ? (
                <FilterChip
                  on
                  onClick={() => {
                    closing.current = true;
                    choose({ node: "", step: -1 });
                  }}
                  label={t("execution.allLines")}
                >
                  <Bdi className="clip">{choice.node}</Bdi>
                  {chosenStep ? ` · ${stepName(chosenStep)}` : null}
                  <Icon name="close" size={11} />
                </FilterChip>
              ) : null
            }
          />
        </div>
      </div>
    </div>
  );
}

function clean(address: Address): Address {
  return Object.fromEntries(Object.entries(address).filter(([, value]) => value !== undefined && value !== ""));
}

function Head({ execution: e }: { execution: ExecutionType }) {
  const open = !isFinal(e.status);
  return (
    <header className="exec-head">
      <div className="row wrap">
        <StatusText status={e.status} badge />
        <PageTitle>
          {e.job ? (
            <Link
              to="/projects/$project/jobs/$job"
              params={{ project: e.project, job: e.job.id }}
              style={{ color: "inherit" }}
            >
              <Bdi>{e.name}</Bdi>
            </Link>
          ) : (
            <Bdi className="mono">{e.name}</Bdi>
          )}{" "}
          <span className="muted" style={{ fontWeight: 400 }}>
            #{e.number}
          </span>
        </PageTitle>
        <span className="spread" />
        {open ? <Cancel execution={e} /> : null}
        <Keep execution={e} />
        <Again execution={e} />
      </div>
      <div className="exec-meta">
        <span>
          {t("execution.project")}{" "}
          <b>
            <Bdi>{e.project}</Bdi>
          </b>
        </span>
        <span>
          {t("execution.startedBy")}{" "}
          <b>
            <Bdi>{e.startedBy}</Bdi>
          </b>
        </span>
        <span>
          {e.startedAt ? t("execution.started") : t("execution.created")}{" "}
          <b>
            <When at={e.startedAt ?? e.createdAt} />
          </b>
        </span>
        {e.runAt && !e.startedAt ? (
          <span>
            {t("execution.runAt")}{" "}
            <b>
              <When at={e.runAt} />
            </b>
          </span>
        ) : null}
        <span>
          {t("execution.took")}{" "}
          <b>
            <Elapsed from={e.startedAt} to={e.endedAt} />
          </b>
        </span>
        {e.nodeFilter ? (
          <span>
            {t("execution.filter")}{" "}
            <b className="mono">
              <Bdi>{e.nodeFilter}</Bdi>
            </b>
          </span>
        ) : null}
        <Options execution={e} />
      </div>
      <Banner execution={e} />
    </header>
  );
}

function Options({ execution: e }: { execution: ExecutionType }) {
  const [open, setOpen] = useState(false);
  const plain = Object.entries(e.options ?? {});
  const secure = e.secureOptions ?? [];
  if (plain.length + secure.length === 0) return null;
  return (
    <Popover opened={open} onChange={setOpen} position="bottom-start" withArrow>
      <Popover.Target>
        <button
          type="button"
          className="plain-link"
          onClick={() => setOpen(!open)}
          // Nothing in it takes the focus, so the key is pressed here.
          onKeyDown={(event) => event.key === "Escape" && setOpen(false)}
        >
          {t("execution.options", { n: plain.length + secure.length })}
        </button>
      </Popover.Target>
      <Popover.Dropdown className="option-values">
        <dl className="facts">
          {plain.map(([name, value]) => (
            <OptionRow
              key={name}
              name={name}
              value={
                value === "" ? (
                  <span className="muted">{t("execution.emptyOption")}</span>
                ) : (
                  <Bdi className="mono">{value}</Bdi>
                )
              }
            />
          ))}
          {secure.map((name) => (
            <OptionRow key={name} name={name} value={<span className="muted">{t("execution.secure")}</span>} />
          ))}
        </dl>
      </Popover.Dropdown>
    </Popover>
  );
}

function OptionRow({ name, value }: { name: string; value: React.ReactNode }) {
  return (
    <>
      <dt>
        <Bdi>{name}</Bdi>
      </dt>
      <dd>{value}</dd>
    </>
  );
}

// Banner says what a person must know beyond the state's word.
function Banner({ execution: e }: { execution: ExecutionType }) {
  const notes = [];
  if (e.waitingFor)
    notes.push(
      <Note key="wait" kind="warn" icon="hourglass">
        <strong>{t(`waiting.${e.waitingFor.kind}`)}</strong> <Bdi>{inZone(e.waitingFor.message, hubNow())}</Bdi>{" "}
        <Since wait={e.waitingFor} />
      </Note>,
    );
  if (e.outcome && !isFinal(e.status))
    notes.push(
      <Note key="settling" kind="info">
        {t("execution.settling", { outcome: t(`status.${e.outcome}`) })}
      </Note>,
    );
  if (e.reason)
    notes.push(
      <Note key="reason" kind="bad">
        <Bdi>{e.reason}</Bdi>
      </Note>,
    );
  if (e.status === "unknown")
    notes.push(
      <Note key="unknown" kind="doubt">
        {t("execution.unknown")}
      </Note>,
    );
  if (isFinal(e.status) && !e.logComplete)
    notes.push(
      <Note key="log" kind="warn">
        {t("execution.logIncomplete")}
      </Note>,
    );
  if (e.status === "cancelling" || (e.cancelRequested && !isFinal(e.status)))
    notes.push(
      <Note key="cancelling" kind="info" icon="stop">
        {e.cancelledBy ? t("execution.cancellingBy", { user: e.cancelledBy }) : t("execution.cancelling")}
      </Note>,
    );
  if (e.status === "cancelled" && e.cancelledBy)
    notes.push(
      <Note key="cancelled" kind="info" icon="stop">
        {t("execution.cancelledBy", { user: e.cancelledBy })}
      </Note>,
    );
  return notes.length > 0 ? (
    <div className="stack" style={{ gap: 6 }}>
      {notes}
    </div>
  ) : null;
}

function useCancel(e: ExecutionType) {
  const client = useQueryClient();
  return useMutation({
    mutationFn: (nodes: string[]) =>
      must(
        api.POST("/api/v1/executions/{id}/cancel", {
          params: { path: { id: e.id } },
          body: nodes.length > 0 ? { nodes } : {},
        }),
      ),
    onSuccess: (now) => {
      takeExecution(client, now);
      for (const id of [e.id, String(e.number)]) void client.invalidateQueries({ queryKey: keys.matrix(id) });
    },
    onError: (cause) =>
      notifications.show({ color: "red", title: t("execution.cancelFailed"), message: errorOf(cause).message }),
  });
}

function Cancel({ execution: e }: { execution: ExecutionType }) {
  const cancel = useCancel(e);
  const [asking, setAsking] = useState(false);
  return (
    <Popover opened={asking} onChange={setAsking} position="bottom-end" withArrow trapFocus returnFocus>
      <Popover.Target>
        <Button
          size="compact-md"
          color="red"
          variant="light"
          disabled={e.cancelRequested}
          onClick={() => setAsking(true)}
          leftSection={<Icon name="stop" size={12} />}
        >
          {t("execution.cancel")}
        </Button>
      </Popover.Target>
      <Popover.Dropdown maw={300}>
        <div className="stack">
          <div>{t("execution.cancelAsk")}</div>
          <div className="row">
            <Button
              size="compact-sm"
              color="red"
              loading={cancel.isPending}
              onClick={() => {
                cancel.mutate([]);
                setAsking(false);
              }}
            >
              {t("execution.cancelYes")}
            </Button>
            <Button size="compact-sm" variant="default" onClick={() => setAsking(false)} data-autofocus>
              {t("execution.cancelNo")}
            </Button>
          </div>
        </div>
      </Popover.Dropdown>
    </Popover>
  );
}

// Keep has retention leave the execution, and shows that it does.
function Keep({ execution: e }: { execution: ExecutionType }) {
  const client = useQueryClient();
  const keep = useMutation({
    mutationFn: () => {
      const at = { params: { path: { id: e.id } } };
      const path = "/api/v1/executions/{id}/keep";
      return must(e.kept ? api.DELETE(path, at) : api.POST(path, at));
    },
    onSuccess: (now) => takeExecution(client, now),
    onError: (cause) =>
      notifications.show({ color: "red", title: t("execution.keepFailed"), message: errorOf(cause).message }),
  });
  return (
    <Button
      size="compact-md"
      variant={e.kept ? "light" : "default"}
      aria-pressed={e.kept}
      title={t(e.kept ? "execution.keptHint" : "execution.keepHint")}
      loading={keep.isPending}
      onClick={() => keep.mutate()}
      leftSection={e.kept ? <Icon name="check" size={13} /> : null}
    >
      {t(e.kept ? "execution.kept" : "execution.keep")}
    </Button>
  );
}

// Again leads to the filled form: a person looks once more before anything runs.
function Again({ execution: e }: { execution: ExecutionType }) {
  const navigate = useNavigate();
  // The execution's own counts are there before its matrix: who presses at once must not be
  // led to a run on all nodes.
  const failed = (e.nodes.failed ?? 0) + (e.nodes.timed_out ?? 0);
  const doubtful = e.nodes.unknown ?? 0;
  const go = (onlyFailed = false) => {
    const search = { from: String(e.number), ...(onlyFailed ? { only: "failed" } : {}) } as never;
    if (e.job)
      void navigate({ to: "/projects/$project/jobs/$job", params: { project: e.project, job: e.job.id }, search });
    else void navigate({ to: "/projects/$project/command", params: { project: e.project }, search });
  };
  if (failed === 0 || !isFinal(e.status))
    return (
      <Button size="compact-md" variant="default" leftSection={<Icon name="refresh" size={13} />} onClick={() => go()}>
        {t("execution.again")}
      </Button>
    );
  return (
    <Menu position="bottom-end">
      <Menu.Target>
        <Button
          size="compact-md"
          variant="default"
          leftSection={<Icon name="refresh" size={13} />}
          rightSection={<Icon name="down" size={11} />}
        >
          {t("execution.again")}
        </Button>
      </Menu.Target>
      <Menu.Dropdown>
        <Menu.Item onClick={() => go()}>{t("execution.againAll")}</Menu.Item>
        <Menu.Item onClick={() => go(true)}>{t("execution.againFailed", { n: failed })}</Menu.Item>
        {doubtful > 0 ? <Menu.Label maw={260}>{t("execution.againNotUnknown", { n: doubtful })}</Menu.Label> : null}
      </Menu.Dropdown>
    </Menu>
  );
}

function NodesSide({
  execution: e,
  matrix,
  search,
  set,
  choice,
  choose,
}: {
  execution: ExecutionType;
  matrix: ReturnType<typeof useMatrix>;
  search: Address;
  set: (change: Address) => void;
  choice: Choice;
  choose: (choice: Choice) => void;
}) {
  const state = (search.state ?? "") as Status | "";
  const rows = useMemo(
    () => filterRows(matrix.data ?? [], state, search.find ?? ""),
    [matrix.data, state, search.find],
  );
  const counts = useMemo(() => {
    const out: Record<string, number> = {};
    for (const row of matrix.data ?? []) out[row.status] = (out[row.status] ?? 0) + 1;
    return matrix.data ? out : e.nodes;
  }, [matrix.data, e.nodes]);
  const table = search.view === "table";
  const queued = (matrix.data ?? []).flatMap((row) => waitOf(e, row) ?? []);
  return (
    <>
      <div style={{ padding: "8px 10px 0" }}>
        <CountBar counts={counts} />
      </div>
      <div className="exec-bar">
        {order
          .filter((s) => counts[s] || s === state)
          .map((s) => (
            <FilterChip key={s} on={s === state} onClick={() => set({ state: s === state ? undefined : s })}>
              <span className={`status st-${s}`}>
                <StatusIcon status={s} size={12} />
              </span>
              {t("count.of", { n: counts[s] ?? 0, status: t(`status.${s}`).toLowerCase() })}
            </FilterChip>
          ))}
        <span className="spread" />
        {(matrix.data?.length ?? 0) > 12 ? (
          <TextInput
            size="xs"
            w={120}
            value={search.find ?? ""}
            onChange={(ev) => set({ find: ev.currentTarget.value || undefined })}
            placeholder={t("execution.findNode")}
            aria-label={t("execution.findNode")}
          />
        ) : null}
        <Button
          size="compact-xs"
          variant={table ? "light" : "subtle"}
          color={table ? undefined : "gray"}
          aria-pressed={table}
          leftSection={<Icon name="table" size={13} />}
          onClick={() => set({ view: table ? undefined : "table" })}
        >
          {t("execution.table")}
        </Button>
      </div>
      {queued[0] ? (
        <div className="exec-wait">
          {t("waiting.nodes", { n: queued.length })} <Wait wait={queued[0]} />
        </div>
      ) : null}
      {matrix.error && !matrix.data ? <ErrorNote error={matrix.error} onRetry={() => void matrix.refetch()} /> : null}
      {matrix.isPending ? <Loading /> : null}
      {matrix.data && rows.length === 0 ? (
        <div className="muted" style={{ padding: 16 }}>
          {matrix.data.length > 0
            ? t("execution.noneMatch")
            : isFinal(e.status)
              ? t("execution.noNodes")
              : t("execution.nodesLater")}
        </div>
      ) : null}
      {rows.length > 0 ? (
        table ? (
          <MatrixTable execution={e} rows={rows} steps={columnsOf(e.steps ?? [])} onChoose={choose} />
        ) : (
          <Matrix execution={e} rows={rows} steps={columnsOf(e.steps ?? [])} choice={choice} onChoose={choose} />
        )
      ) : null}
    </>
  );
}

// CellFacts tells all that is known of the chosen node or cell: above all, why.
function CellFacts({
  execution: e,
  row,
  step,
}: {
  execution: ExecutionType;
  row: ExecutionNode;
  step: ExecutionStep | undefined;
}) {
  const runners = useRunners();
  const runner = runners.data?.items.find((r) => r.id === row.runnerId)?.name ?? row.runnerId;
  const cancel = useCancel(e);
  const wait = waitOf(e, row);
  const cell = step ? cellOf(row, step.position) : undefined;
  const status = (step ? cellStatus(row, step) : row.status) ?? "skipped";
  // Of a whole node, the cells that did not end well speak.
  const told = cell
    ? [cell]
    : !step
      ? row.steps.filter((s) => (s.message && s.status !== "skipped") || s.lateStatus)
      : [];
  return (
    <div className="cell-facts">
      <div className="row wrap" style={{ gap: "4px 12px" }}>
        <StatusText status={status} badge />
        <strong>
          <Bdi>{row.node}</Bdi>
        </strong>
        {step ? (
          <span>
            {stepName(step)} <Bdi className="mono">{step.label}</Bdi>
          </span>
        ) : null}
        {cell?.code !== undefined && cell.code !== null ? (
          <span className="muted">{t("matrix.exit", { code: String(cell.code) })}</span>
        ) : null}
        {cell?.signal ? <span className="muted">{t("matrix.signal", { signal: cell.signal })}</span> : null}
        {cell && cell.try > 1 ? <span className="muted">{t("matrix.try", { n: String(cell.try) })}</span> : null}
        {cell ? (
          <span className="muted">
            <Elapsed from={cell.startedAt} to={cell.endedAt} />
          </span>
        ) : null}
        {row.runnerId ? (
          <span className="muted">
            {t("matrix.runner")}{" "}
            <Link to="/runners/$id" params={{ id: row.runnerId }}>
              <Bdi>{runner}</Bdi>
            </Link>
          </span>
        ) : null}
        <span className="spread" />
        {!isFinal(row.status) && !isFinal(e.status) ? (
          <Button
            size="compact-xs"
            variant="default"
            color="red"
            loading={cancel.isPending}
            onClick={() => cancel.mutate([row.node])}
          >
            {t("execution.cancelNode")}
          </Button>
        ) : null}
      </div>
      {wait ? <Wait wait={wait} /> : null}
      {told.map((s) => (
        <div key={`${s.step}.${s.try}`} className="stack" style={{ gap: 4 }}>
          {s.message ? (
            <div style={{ overflowWrap: "anywhere" }}>
              {!step ? <span className="muted">{s.step + 1}. </span> : null}
              <Bdi>{s.message}</Bdi> {s.reason ? <span className="muted mono">({s.reason})</span> : null}
            </div>
          ) : null}
          {s.notStarted && isFinal(s.status) ? <div className="muted">{t("matrix.notStarted")}</div> : null}
          {isFinal(s.status) && s.status !== "succeeded" && !s.endProven && !s.notStarted ? (
            <Note kind="doubt">{t("matrix.notProven")}</Note>
          ) : null}
          {s.lateStatus ? (
            <Note kind="doubt">{t("matrix.late", { status: t(`status.${s.lateStatus}`).toLowerCase() })}</Note>
          ) : null}
        </div>
      ))}
    </div>
  );
}

// logStep is the step whose lines are read: those of a handler come with its step's.
function logStep(e: ExecutionType, step: number): number {
  return e.steps?.find((s) => s.position === step)?.handlerOf ?? step;
}

function LogSide({
  execution: e,
  choice,
  at,
  onAt,
  head,
}: {
  execution: ExecutionType;
  choice: Choice;
  at: string | undefined;
  onAt: (at: string | undefined) => void;
  head: React.ReactNode;
}) {
  const running = !isFinal(e.status);
  const atEnd = at === undefined && e.status !== "succeeded";
  // A reading starts anew for another cell; its own line address does not restart it.
  const session = useSession(() => {
    const made = new LogSession({ execution: e.id, node: choice.node, step: logStep(e, choice.step) });
    const start =
      at !== undefined ? made.openStart(at === "start" ? "" : at) : atEnd ? made.openEnd() : made.openStart();
    void start.then(() => {
      if (running) made.follow();
    });
    return made;
  }, [e.id, choice.node, choice.step]);
  if (!session) return <Loading />;
  return (
    <LogView
      key={`${choice.node} ${choice.step}`}
      session={session}
      running={running}
      atEnd={atEnd}
      failed={(e.nodes.failed ?? 0) > 0 || e.status === "failed" || e.status === "timed_out"}
      showNode={choice.node === ""}
      target={at === "start" ? "" : at}
      onTarget={(before) => onAt(before === "" ? "start" : before)}
      head={head}
    />
  );
}
