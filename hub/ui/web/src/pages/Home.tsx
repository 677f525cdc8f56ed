import { Button } from "@mantine/core";
import { Link } from "@tanstack/react-router";
import type { Runner, Status } from "../api/client";
import { usePoll } from "../api/link";
import { useExecutions, useJobs, useMe, useNodes, useProjects, useRunners } from "../api/queries";
import { Bdi } from "../base/Bdi";
import { Icon } from "../base/icons";
import { Ago, Answer, Page, Panel } from "../base/parts";
import { useCurrentProject } from "../shell/Shell";
import { t } from "../text/t";
import { ExecutionList } from "./ExecutionList";
import { RunnerState } from "./Runners";

const ended: Status[] = ["succeeded", "failed", "unknown", "timed_out", "cancelled", "missed"];

export function Home() {
  const project = useCurrentProject();
  // No list is there to hear of the first that waits.
  const waiting = useExecutions({ status: ["queued", "held"], limit: 10 }, Math.min(10_000, usePoll()));
  const hasWaiting = (waiting.data?.pages[0]?.items.length ?? 0) > 0;
  return (
    <Page title={t("home.title")}>
      <FirstSteps project={project} />
      <div className="columns">
        <div className="stack">
          {hasWaiting ? (
            <Panel title={t("home.waiting")} flush>
              <ExecutionList
                filter={{ status: ["queued", "held"], limit: 10 }}
                showProject
                empty={t("home.nothingWaits")}
              />
            </Panel>
          ) : null}
          <Panel title={t("home.running")} flush>
            <ExecutionList
              filter={{ status: ["running", "cancelling"], limit: 20 }}
              showProject
              empty={t("home.nothingRuns")}
            />
          </Panel>
          <Panel title={t("home.recent")} flush aside={<Link to="/executions">{t("home.all")}</Link>}>
            <ExecutionList filter={{ status: ended, limit: 20 }} showProject empty={t("home.nothingYet")} />
          </Panel>
        </div>
        <div className="stack">
          <Panel title={t("home.attention")} flush>
            <ExecutionList
              filter={{ status: ["unknown", "failed", "timed_out"], limit: 8 }}
              showProject
              narrow
              empty={t("home.nothingFailed")}
            />
          </Panel>
          <RunnersPanel />
        </div>
      </div>
    </Page>
  );
}

function RunnersPanel() {
  const runners = useRunners();
  const items = (runners.data?.items ?? []).filter((r) => r.state !== "revoked");
  const gone = items.filter((r) => r.state !== "connected");
  const shown = [...gone, ...items.filter((r) => r.state === "connected")].slice(0, 8);
  return (
    <Panel
      title={t("nav.runners")}
      flush
      aside={
        runners.data ? (
          <Link to="/runners">{t("home.runnersOf", { live: items.length - gone.length, n: items.length })}</Link>
        ) : null
      }
    >
      <Answer query={runners}>{() => <RunnerRows runners={shown} />}</Answer>
    </Panel>
  );
}

function RunnerRows({ runners }: { runners: Runner[] }) {
  return (
    <table className="list">
      <tbody>
        {runners.map((runner) => (
          <tr key={runner.id}>
            <td className="grow">
              <Link to="/runners/$id" params={{ id: runner.id }} className="clip" style={{ display: "block" }}>
                <Bdi>{runner.name}</Bdi>
              </Link>
            </td>
            <td className="shrink">
              <RunnerState runner={runner} />
            </td>
            <td className="shrink muted">
              {runner.state === "connected" ? (
                t("runners.load", { live: runner.live, slots: runner.slots })
              ) : (
                <Ago at={runner.lastSeenAt} />
              )}
            </td>
          </tr>
        ))}
        {runners.length === 0 ? (
          <tr>
            <td className="muted">{t("home.noRunners")}</td>
          </tr>
        ) : null}
      </tbody>
    </table>
  );
}

// FirstSteps leads a new installation to its first run, and is gone after it.
function FirstSteps({ project }: { project: string }) {
  const me = useMe();
  const projects = useProjects();
  const runners = useRunners();
  const nodes = useNodes(project, "", "", 1);
  const jobs = useJobs(project, "");
  const runs = useExecutions({ limit: 20 });
  if (!me.data?.admin || !projects.data || !runners.data || !runs.data) return null;
  const ran = (runs.data.pages[0]?.items.length ?? 0) > 0;
  if (ran) return null;
  const steps = [
    { done: projects.data.items.length > 0, label: t("first.project"), to: "/projects", does: t("first.projectDo") },
    {
      done: runners.data.items.length > 0,
      label: t("first.runner"),
      to: "/runners?enrol=1",
      does: t("first.runnerDo"),
    },
    {
      done: (nodes.data?.pages[0]?.total ?? 0) > 0,
      label: t("first.nodes"),
      to: project ? `/projects/${project}/nodes?import=1` : "",
      does: t("first.nodesDo"),
    },
    {
      done: (jobs.data?.pages[0]?.items.length ?? 0) > 0,
      label: t("first.jobs"),
      to: project ? `/projects/${project}/jobs?import=1` : "",
      does: t("first.jobsDo"),
    },
    { done: false, label: t("first.run"), to: project ? `/projects/${project}/jobs` : "", does: t("first.runDo") },
  ];
  const next = steps.findIndex((step) => !step.done);
  return (
    <Panel title={t("first.title")}>
      <ol className="first-steps">
        {steps.map((step, i) => (
          <li key={step.label} className={step.done ? "done" : i === next ? "next" : ""}>
            <span className="tick">{step.done ? <Icon name="check" /> : i + 1}</span>
            <span className="spread">
              {step.label}
              {step.done ? <span className="visually-hidden"> {t("first.done")}</span> : null}
            </span>
            {!step.done && step.to ? (
              <Button component={Link} to={step.to} size="compact-sm" variant={i === next ? "filled" : "default"}>
                {step.does}
              </Button>
            ) : null}
          </li>
        ))}
      </ol>
    </Panel>
  );
}
