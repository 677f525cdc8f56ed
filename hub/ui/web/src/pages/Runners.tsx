import { Button, Menu, Modal, MultiSelect, TagsInput, TextInput } from "@mantine/core";
import { notifications } from "@mantine/notifications";
import { useMutation, useQueryClient } from "@tanstack/react-query";
import { Link, useNavigate, useParams, useSearch } from "@tanstack/react-router";
import { type FormEvent, useState } from "react";
import { api, errorOf, must, type Runner, type RunnerToken } from "../api/client";
import { keys, useMe, useProjects, useRunner, useRunners, useRunnerTokens } from "../api/queries";
import { Bdi } from "../base/Bdi";
import { Icon } from "../base/icons";
import { Ago, Answer, Back, Empty, ErrorNote, Note, Overtaken, Page, Panel, Table, Tags, When } from "../base/parts";
import { useCurrentProject } from "../shell/Shell";
import { t } from "../text/t";
import { EnrolDialog } from "./EnrolDialog";

// RunnerState is word, shape and colour, like the states of work.
export function RunnerState({ runner }: { runner: Runner }) {
  const look = {
    connected: "st-succeeded",
    draining: "st-held",
    disconnected: "st-queued",
    quarantined: "st-unknown",
    revoked: "st-failed",
  }[runner.state];
  const shape = {
    connected: <circle cx="8" cy="8" r="5" fill="currentColor" stroke="none" />,
    draining: <path d="M5.5 3v10M10.5 3v10" />,
    disconnected: <circle cx="8" cy="8" r="4.3" />,
    quarantined: <path d="M8 2 14 8 8 14 2 8z" />,
    revoked: <path d="M4 4l8 8M12 4l-8 8" />,
  }[runner.state];
  return (
    <span className={`status ${look}`}>
      <svg
        width="12"
        height="12"
        viewBox="0 0 16 16"
        fill="none"
        stroke="currentColor"
        strokeWidth="2"
        aria-hidden="true"
      >
        {shape}
      </svg>
      {t(`runner.${runner.state}`)}
    </span>
  );
}

// A runner that was taken in again after the database had lost it is bound to the id of no
// project, since without any it would serve all.
const noProject = "00000000-0000-0000-0000-000000000000";

function Serves({ projects }: { projects: string[] }) {
  if (projects.length === 0) return <span className="muted">{t("enrol.allProjects")}</span>;
  return <Tags tags={projects.map((p) => (p === noProject ? t("runners.noProject") : p))} />;
}

export function Runners() {
  const search = useSearch({ strict: false }) as { enrol?: string };
  const navigate = useNavigate();
  const me = useMe();
  const project = useCurrentProject();
  const query = useRunners();
  const enrol = (open: boolean) =>
    void navigate({ to: "/runners", search: (open ? { enrol: "1" } : {}) as never, replace: true });
  return (
    <Page
      title={t("nav.runners")}
      actions={
        me.data?.admin ? (
          <Button onClick={() => enrol(true)} leftSection={<Icon name="plus" size={14} />}>
            {t("enrol.button")}
          </Button>
        ) : null
      }
    >
      <Panel flush>
        <Answer query={query}>
          {(data) =>
            data.items.length === 0 ? (
              <Empty icon="runners" title={t("runners.none")}>
                {t("runners.noneHint")}
              </Empty>
            ) : (
              <Table
                head={[
                  t("runners.name"),
                  t("runners.state"),
                  [t("runners.load.head"), "num"],
                  [t("nodes.tags"), "wide-only"],
                  [t("runners.projects"), "wide-only"],
                  [t("runners.version"), "wide-only"],
                  t("runners.seen"),
                ]}
              >
                {data.items.map((runner) => (
                  <tr key={runner.id}>
                    <td>
                      <Link to="/runners/$id" params={{ id: runner.id }}>
                        <Bdi>{runner.name}</Bdi>
                      </Link>
                      <div className="muted" style={{ fontSize: "0.76rem" }}>
                        <Bdi>{runner.hostname}</Bdi>
                      </div>
                    </td>
                    <td>
                      <RunnerState runner={runner} />
                      {runner.quarantined ? (
                        <div className="muted" style={{ fontSize: "0.76rem" }}>
                          <Bdi>{runner.quarantined}</Bdi>
                        </div>
                      ) : null}
                    </td>
                    <td className="num">{t("runners.load", { live: runner.live, slots: runner.slots })}</td>
                    <td className="wide-only">
                      <Tags tags={runner.tags} />
                    </td>
                    <td className="wide-only">
                      <Serves projects={runner.projects} />
                    </td>
                    <td className="wide-only muted">
                      {runner.version}{" "}
                      <span style={{ whiteSpace: "nowrap" }}>{runner.os ? `${runner.os}/${runner.arch}` : ""}</span>
                    </td>
                    <td className="muted">{runner.connected ? t("runners.now") : <Ago at={runner.lastSeenAt} />}</td>
                  </tr>
                ))}
              </Table>
            )
          }
        </Answer>
      </Panel>
      {me.data?.admin ? <Tokens /> : null}
      <EnrolDialog opened={search.enrol !== undefined} onClose={() => enrol(false)} project={project} />
    </Page>
  );
}

function Tokens() {
  const query = useRunnerTokens(true);
  const client = useQueryClient();
  const revoke = useMutation({
    mutationFn: (id: string) => must(api.DELETE("/api/v1/runners/tokens/{id}", { params: { path: { id } } })),
    onSuccess: () => void client.invalidateQueries({ queryKey: keys.tokens }),
    onError: (cause) =>
      notifications.show({ color: "red", title: t("runners.revokeFailed"), message: errorOf(cause).message }),
  });
  const open = query.data?.items.filter((token: RunnerToken) => token.state === "open") ?? [];
  if (open.length === 0) return null;
  return (
    <Panel title={t("runners.openTokens")} flush>
      <Table head={[t("runners.projects"), t("nodes.tags"), [t("runners.by"), "wide-only"], t("runners.expires"), ""]}>
        {open.map((token) => (
          <tr key={token.id}>
            <td>
              <Serves projects={token.projects} />
            </td>
            <td>
              <Tags tags={token.tags} />
            </td>
            <td className="wide-only">
              <Bdi>{token.createdBy}</Bdi>
            </td>
            <td>
              <Ago at={token.expiresAt} />
            </td>
            <td className="shrink">
              <Button
                size="compact-xs"
                variant="default"
                color="red"
                onClick={() => revoke.mutate(token.id)}
                loading={revoke.isPending && revoke.variables === token.id}
              >
                {t("runners.revokeToken")}
              </Button>
            </td>
          </tr>
        ))}
      </Table>
    </Panel>
  );
}

export function RunnerPage() {
  const { id } = useParams({ strict: false }) as { id: string };
  const query = useRunner(id);
  const runner = query.data;
  const gone = !runner && query.error !== null && errorOf(query.error).code === "not_found";
  return (
    <Page
      title={runner?.name ?? t("nav.runners")}
      above={<Back to="/runners" label={t("nav.runners")} />}
      actions={runner ? <RunnerActions runner={runner} /> : null}
    >
      {gone ? (
        <Empty icon="runners" title={t("runners.gone")} />
      ) : (
        <Answer query={query}>{(data) => <RunnerFacts runner={data} />}</Answer>
      )}
    </Page>
  );
}

function RunnerFacts({ runner }: { runner: Runner }) {
  return (
    <>
      {runner.state === "revoked" ? <Note kind="bad">{t("runner.revokedNote")}</Note> : null}
      {runner.quarantined ? (
        <Note kind="doubt">
          <strong>{t("runner.quarantinedTitle")}</strong> <Bdi>{runner.quarantined}</Bdi>
        </Note>
      ) : null}
      <Panel>
        <dl className="facts">
          <dt>{t("runners.state")}</dt>
          <dd>
            <RunnerState runner={runner} />
          </dd>
          <dt>{t("runners.seen")}</dt>
          <dd>{runner.connected ? t("runners.now") : <When at={runner.lastSeenAt} />}</dd>
          <dt>{t("runners.load.head")}</dt>
          <dd>{t("runners.load", { live: runner.live, slots: runner.slots })}</dd>
          <dt>{t("nodes.tags")}</dt>
          <dd>
            <Tags tags={runner.tags} />
          </dd>
          <dt>{t("runners.projects")}</dt>
          <dd>
            <Serves projects={runner.projects} />
          </dd>
          <dt>{t("runners.host")}</dt>
          <dd>
            <Bdi>{runner.hostname || "–"}</Bdi>{" "}
            <span className="muted">{runner.os ? `${runner.os}/${runner.arch}` : ""}</span>
          </dd>
          <dt>{t("runners.version")}</dt>
          <dd>{runner.version || "–"}</dd>
          <dt>{t("runners.enrolled")}</dt>
          <dd>
            <When at={runner.enrolledAt} />
          </dd>
          <dt>{t("runners.certificate")}</dt>
          <dd>
            <When at={runner.certificateExpiresAt} />
          </dd>
          <dt>Id</dt>
          <dd className="mono">{runner.id}</dd>
        </dl>
      </Panel>
    </>
  );
}

function RunnerActions({ runner }: { runner: Runner }) {
  const me = useMe();
  const client = useQueryClient();
  const [editing, setEditing] = useState(false);
  const act = useMutation({
    mutationFn: (verb: "revoke" | "release" | "drain") => {
      const params = { params: { path: { id: runner.id } } };
      if (verb === "revoke") return must(api.POST("/api/v1/runners/{id}/revoke", params));
      if (verb === "drain") return must(api.POST("/api/v1/runners/{id}/drain", params));
      return must(api.POST("/api/v1/runners/{id}/release", params));
    },
    onSuccess: () => void client.invalidateQueries({ queryKey: keys.runners }),
    onError: (cause) =>
      notifications.show({ color: "red", title: t("runners.actFailed"), message: errorOf(cause).message }),
  });
  if (!me.data?.admin || runner.state === "revoked") return null;
  return (
    <>
      {runner.state === "draining" ? (
        <Button onClick={() => act.mutate("release")} loading={act.isPending}>
          {t("runners.resume")}
        </Button>
      ) : runner.quarantined ? (
        <Button
          onClick={() => window.confirm(t("runners.releaseAsk", { name: runner.name })) && act.mutate("release")}
          loading={act.isPending}
        >
          {t("runners.release")}
        </Button>
      ) : (
        <Button variant="default" onClick={() => act.mutate("drain")} loading={act.isPending}>
          {t("runners.drain")}
        </Button>
      )}
      <Button variant="default" onClick={() => setEditing(true)}>
        {t("edit")}
      </Button>
      <Menu position="bottom-end">
        <Menu.Target>
          <Button variant="default" px={10} aria-label={t("job.actions")}>
            <Icon name="dots" />
          </Button>
        </Menu.Target>
        <Menu.Dropdown>
          <Menu.Item
            color="red"
            onClick={() => window.confirm(t("runners.revokeAsk", { name: runner.name })) && act.mutate("revoke")}
          >
            {t("runners.revoke")}
          </Menu.Item>
        </Menu.Dropdown>
      </Menu>
      <Modal opened={editing} onClose={() => setEditing(false)} title={t("runners.edit", { name: runner.name })}>
        {editing ? <EditRunner runner={runner} onDone={() => setEditing(false)} /> : null}
      </Modal>
    </>
  );
}

// EditRunner keeps what is typed when somebody changes the runner meanwhile; it is only told.
function EditRunner({ runner: now, onDone }: { runner: Runner; onDone: () => void }) {
  const [start, setStart] = useState(now);
  return (
    <div className="stack">
      {now.revision > start.revision ? (
        <Overtaken text={t("runners.overtaken")} onReload={() => setStart(now)} />
      ) : null}
      <RunnerForm key={start.revision} runner={start} onDone={onDone} />
    </div>
  );
}

function RunnerForm({ runner, onDone }: { runner: Runner; onDone: () => void }) {
  const client = useQueryClient();
  const projects = useProjects();
  const [name, setName] = useState(runner.name);
  const [tags, setTags] = useState(runner.tags);
  const [serves, setServes] = useState(runner.projects);
  const save = useMutation({
    mutationFn: () =>
      must(
        api.PATCH("/api/v1/runners/{id}", {
          params: { path: { id: runner.id }, header: { "If-Match": `"${runner.revision}"` } },
          body: { name, tags, projects: serves },
        }),
      ),
    onSuccess: onDone,
    onSettled: () => void client.invalidateQueries({ queryKey: keys.runners }),
  });
  const submit = (event: FormEvent) => {
    event.preventDefault();
    save.mutate();
  };
  return (
    <form className="stack" onSubmit={submit}>
      <TextInput label={t("runners.name")} value={name} onChange={(e) => setName(e.currentTarget.value)} />
      <TagsInput label={t("enrol.tags")} value={tags} onChange={setTags} />
      <MultiSelect
        label={t("enrol.projects")}
        description={t("enrol.projectsHint")}
        data={[
          ...(projects.data?.items.map((p) => p.name) ?? []),
          ...(runner.projects.includes(noProject) ? [{ value: noProject, label: t("runners.noProject") }] : []),
        ]}
        value={serves}
        onChange={(chosen) => setServes(chosen.length > 1 ? chosen.filter((p) => p !== noProject) : chosen)}
        clearable
        searchable
      />
      {save.error ? <ErrorNote error={save.error} /> : null}
      <div className="row">
        <span className="spread" />
        <Button variant="default" onClick={onDone}>
          {t("cancel")}
        </Button>
        <Button type="submit" loading={save.isPending}>
          {t("save")}
        </Button>
      </div>
    </form>
  );
}
