import { Button } from "@mantine/core";
import { notifications } from "@mantine/notifications";
import { useMutation, useQueryClient } from "@tanstack/react-query";
import { Link, useNavigate, useParams, useSearch } from "@tanstack/react-router";
import { api, errorOf, type Fires, must, type Schedule } from "../api/client";
import { keys, useFires, useMe, useSchedules, useUnstarted } from "../api/queries";
import { Bdi } from "../base/Bdi";
import { Icon } from "../base/icons";
import { Answer, Empty, Page, Panel, Table, When } from "../base/parts";
import { t } from "../text/t";
import { Calendars } from "./Calendars";

// fullName is the name of a job as people know it.
function fullName(job: { group: string; name: string }): string {
  return job.group ? `${job.group}/${job.name}` : job.name;
}

// Schedules shows when the jobs of a project run by themselves, and what came of it. The
// job whose fires are shown is in the address.
export function Schedules() {
  const { project } = useParams({ strict: false }) as { project: string };
  const search = useSearch({ strict: false }) as { job?: string };
  const navigate = useNavigate();
  const query = useSchedules(project);
  const chosen = query.data?.items.find((s) => s.jobId === search.job);
  const choose = (job: string | undefined) =>
    void navigate({
      to: "/projects/$project/schedules",
      params: { project },
      search: (job ? { job } : {}) as never,
      replace: true,
    });
  return (
    <Page title={t("nav.schedules")}>
      <Panel flush>
        <Answer query={query}>
          {(data) =>
            data.items.length === 0 ? (
              <Empty icon="clock" title={t("schedules.none")}>
                {t("schedules.noneHint")}
              </Empty>
            ) : (
              <Table
                head={[
                  t("schedules.job"),
                  [t("schedules.when"), "wide-only"],
                  t("schedules.next"),
                  [t("schedules.last"), "wide-only"],
                  "",
                ]}
              >
                {data.items.map((s) => (
                  <Row key={s.jobId} schedule={s} shown={s.jobId === search.job} onShow={choose} />
                ))}
              </Table>
            )
          }
        </Answer>
      </Panel>
      {chosen ? <FiresOf schedule={chosen} /> : null}
      <Calendars project={project} />
      <Unstarted project={project} />
    </Page>
  );
}

function Row({
  schedule: s,
  shown,
  onShow,
}: {
  schedule: Schedule;
  shown: boolean;
  onShow: (job: string | undefined) => void;
}) {
  const me = useMe();
  return (
    <tr>
      <td>
        <Link to="/projects/$project/jobs/$job" params={{ project: s.project, job: s.jobId }}>
          <Bdi>{fullName(s)}</Bdi>
        </Link>
      </td>
      <td className="wide-only">
        <Bdi className="mono">{s.expression}</Bdi> <span className="muted">{s.timeZone}</span>
        {s.calendars.length > 0 ? (
          <div className="muted" style={{ fontSize: "0.76rem" }}>
            {t("schedules.calendars", { names: s.calendars.join(", ") })}
          </div>
        ) : null}
      </td>
      <td>
        {s.nextFireAt ? <When at={s.nextFireAt} /> : null}
        {s.whyNot ? (
          <div className="muted">
            <Bdi>{s.whyNot}</Bdi>
          </div>
        ) : null}
      </td>
      <td className="wide-only">
        <When at={s.lastFireAt} />
      </td>
      <td className="shrink">
        <span className="row">
          <Button
            size="compact-xs"
            variant="default"
            aria-expanded={shown}
            aria-label={t("schedules.firesOf", { name: fullName(s) })}
            onClick={() => onShow(shown ? undefined : s.jobId)}
          >
            {t("schedules.fires")}
          </Button>
          {me.data?.admin ? <Switch schedule={s} /> : null}
        </span>
      </td>
    </tr>
  );
}

// Switch pauses a schedule, or lets it go on.
function Switch({ schedule: s }: { schedule: Schedule }) {
  const client = useQueryClient();
  const path = { project: s.project, job: s.jobId };
  const change = useMutation({
    mutationFn: () =>
      must(
        s.paused
          ? api.POST("/api/v1/projects/{project}/jobs/{job}/schedule/resume", { params: { path } })
          : api.POST("/api/v1/projects/{project}/jobs/{job}/schedule/pause", { params: { path } }),
      ),
    onSettled: () => void client.invalidateQueries({ queryKey: keys.schedules(s.project) }),
    onError: (cause) =>
      notifications.show({ color: "red", title: t("schedules.switchFailed"), message: errorOf(cause).message }),
  });
  return (
    <Button
      size="compact-xs"
      variant="default"
      loading={change.isPending}
      leftSection={<Icon name={s.paused ? "play" : "pause"} size={12} />}
      aria-label={t(s.paused ? "schedules.resumeOf" : "schedules.pauseOf", { name: fullName(s) })}
      onClick={() => change.mutate()}
    >
      {s.paused ? t("schedules.resume") : t("schedules.pause")}
    </Button>
  );
}

interface Line {
  at: string;
  what: string;
  execution?: string | undefined;
  reason?: string | undefined;
}

// linesOf are past and coming fires in the order of time.
export function linesOf(fires: Fires): Line[] {
  const past = fires.past.map((f) => ({
    at: f.at,
    what: t(`fire.${f.status}`),
    execution: f.executionId,
    reason: f.reason,
  }));
  const coming = [
    ...fires.coming.map((at) => ({ at, what: t("schedules.coming") })),
    ...fires.takenOut.map((taken) => ({ at: taken.at, what: t("schedules.taken", { name: taken.calendar }) })),
  ];
  coming.sort((a, b) => Date.parse(a.at) - Date.parse(b.at));
  return [...past.reverse(), ...coming];
}

function FiresOf({ schedule }: { schedule: Schedule }) {
  const query = useFires(schedule.project, schedule.jobId);
  return (
    <Panel title={t("schedules.firesOf", { name: fullName(schedule) })} flush>
      <Answer query={query}>
        {(fires) => {
          const lines = linesOf(fires);
          if (lines.length === 0) return <Empty title={t("schedules.noFires")} />;
          return (
            <Table head={[t("schedules.time"), t("schedules.what")]}>
              {lines.map((line) => (
                <tr key={line.at}>
                  <td>
                    <When at={line.at} />
                  </td>
                  <td>
                    {line.execution ? (
                      <Link to="/executions/$id" params={{ id: line.execution }}>
                        {line.what}
                      </Link>
                    ) : (
                      line.what
                    )}
                    {line.reason ? (
                      <div className="muted">
                        <Bdi>{line.reason}</Bdi>
                      </div>
                    ) : null}
                  </td>
                </tr>
              ))}
            </Table>
          );
        }}
      </Answer>
    </Panel>
  );
}

function Unstarted({ project }: { project: string }) {
  const query = useUnstarted(project);
  return (
    <Panel title={t("schedules.unstarted")} flush>
      <Answer query={query}>
        {(data) =>
          data.items.length === 0 ? (
            <Empty title={t("schedules.noUnstarted")} />
          ) : (
            <Table head={[t("schedules.job"), t("schedules.time"), t("schedules.what")]}>
              {data.items.map((fire) => (
                <tr key={`${fire.jobId} ${fire.at}`}>
                  <td>
                    <Link to="/projects/$project/jobs/$job" params={{ project, job: fire.jobId }}>
                      <Bdi>{fullName(fire)}</Bdi>
                    </Link>
                  </td>
                  <td>
                    <When at={fire.at} />
                  </td>
                  <td>
                    {t(`fire.${fire.status}`)}
                    <div className="muted">
                      <Bdi>{fire.reason}</Bdi>
                    </div>
                  </td>
                </tr>
              ))}
            </Table>
          )
        }
      </Answer>
    </Panel>
  );
}
