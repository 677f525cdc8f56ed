import { Button, TextInput } from "@mantine/core";
import { notifications } from "@mantine/notifications";
import { useMutation, useQueryClient } from "@tanstack/react-query";
import { useParams } from "@tanstack/react-router";
import { type FormEvent, useState } from "react";
import { api, errorOf, must, type Project, type RetentionPlan } from "../api/client";
import { keys, useMe, useProject, useRetention } from "../api/queries";
import { Answer, ErrorNote, Overtaken, Page, Panel, When } from "../base/parts";
import { sizeOf, sizeText, sizeTyped } from "../base/size";
import { t } from "../text/t";

// ProjectSettings shows how long the executions of a project stay, and which would go now.
export function ProjectSettings() {
  const { project } = useParams({ strict: false }) as { project: string };
  const query = useProject(project);
  const admin = useMe().data?.admin ?? false;
  return (
    <Page title={t("settings.title")}>
      <Answer query={query}>
        {(now) => (
          <div className="columns">
            <Panel title={t("retention.title")}>
              <Opened key={now.id} now={now} admin={admin} />
            </Panel>
            <Preview project={now} />
          </div>
        )}
      </Answer>
    </Page>
  );
}

// Opened keeps what is typed when somebody changes the project meanwhile; it is only told.
function Opened({ now, admin }: { now: Project; admin: boolean }) {
  const [start, setStart] = useState(now);
  return (
    <div className="stack">
      {now.revision > start.revision ? (
        <Overtaken text={t("settings.overtaken")} onReload={() => setStart(now)} />
      ) : null}
      <Form key={start.revision} start={start} admin={admin} onSaved={setStart} />
    </div>
  );
}

const names = ["retention.days", "retention.failedDays", "retention.executions", "retention.bytes"] as const;
type Name = (typeof names)[number];

// typedOf is what stands in a field. Bytes are shown in a unit that loses none of them.
function typedOf(project: Project, name: Name): string {
  const value = project.settings[name] ?? "";
  return name === "retention.bytes" && /^\d+$/.test(value) && Number.isSafeInteger(Number(value))
    ? sizeTyped(Number(value))
    : value;
}

// sentOf is a field as the hub takes it. What is no size goes as it is: the hub says what is
// wrong with it.
function sentOf(name: Name, text: string): string {
  const bytes = name === "retention.bytes" ? sizeOf(text) : undefined;
  return bytes === undefined ? text.trim() : String(bytes);
}

function Form({ start, admin, onSaved }: { start: Project; admin: boolean; onSaved: (project: Project) => void }) {
  const client = useQueryClient();
  const [typed, setTyped] = useState(
    () => Object.fromEntries(names.map((name) => [name, typedOf(start, name)])) as Record<Name, string>,
  );
  const save = useMutation({
    mutationFn: () => {
      const settings = { ...start.settings };
      for (const name of names) {
        const value = sentOf(name, typed[name]);
        if (value === "") delete settings[name];
        else settings[name] = value;
      }
      return must(
        api.PATCH("/api/v1/projects/{project}", {
          params: { path: { project: start.id }, header: { "If-Match": `"${start.revision}"` } },
          body: { settings },
        }),
      );
    },
    onSuccess: (project) => {
      client.setQueryData(keys.project(project.name), project);
      onSaved(project);
      notifications.show({ color: "teal", message: t("settings.saved") });
    },
    onSettled: () => void client.invalidateQueries({ queryKey: keys.project(start.name) }),
  });
  const error = save.error ? errorOf(save.error) : undefined;
  const submit = (event: FormEvent) => {
    event.preventDefault();
    save.mutate();
  };
  return (
    <form className="stack" onSubmit={submit}>
      {names.map((name) => (
        <TextInput
          key={name}
          label={t(`${name}`)}
          description={t(`${name}Hint`)}
          placeholder={placeholderOf(start, name)}
          value={typed[name]}
          readOnly={!admin}
          onChange={(e) => setTyped({ ...typed, [name]: e.currentTarget.value })}
          error={error?.field(name)}
          inputMode={name === "retention.bytes" ? "text" : "numeric"}
          autoComplete="off"
          spellCheck={false}
          maw={420}
        />
      ))}
      <div className="muted">{t("retention.always")}</div>
      {error && names.every((name) => !error.field(name)) ? <ErrorNote error={error} /> : null}
      {admin ? (
        <div className="row">
          <Button type="submit" loading={save.isPending}>
            {t("save")}
          </Button>
        </div>
      ) : null}
    </form>
  );
}

// placeholderOf tells what counts where nothing is said.
function placeholderOf(project: Project, name: Name): string {
  if (name === "retention.days")
    return project.retention.days > 0 ? t("retention.hubDays", { days: project.retention.days }) : t("retention.ever");
  return t(name === "retention.failedDays" ? "retention.asOthers" : "retention.noLimit");
}

// Preview tells what the next pass would take away, by what is stored.
function Preview({ project }: { project: Project }) {
  const query = useRetention(project.name, project.revision);
  return (
    <Panel title={t("retention.now")}>
      <div className="stack">
        <Answer query={query}>{(plan) => <Plan plan={plan} />}</Answer>
        <div className="muted">{t("retention.nowHint")}</div>
      </div>
    </Panel>
  );
}

function Plan({ plan }: { plan: RetentionPlan }) {
  return (
    <dl className="facts">
      <dt>{t("retention.ended")}</dt>
      <dd>{plan.ended}</dd>
      <dt>{t("retention.kept")}</dt>
      <dd>{plan.kept}</dd>
      <dt>{t("retention.goes")}</dt>
      <dd>
        {plan.removes > 0
          ? t("retention.logs", { n: plan.removes, size: sizeText(plan.removesBytes) })
          : t("retention.none")}
      </dd>
      {plan.removesFromAt ? (
        <>
          <dt>{t("retention.from")}</dt>
          <dd>
            <When at={plan.removesFromAt} />
          </dd>
          <dt>{t("retention.to")}</dt>
          <dd>
            <When at={plan.removesToAt} />
          </dd>
        </>
      ) : null}
    </dl>
  );
}
