import { Bdi } from "../base/Bdi";
import "./calendars.css";
import { Button, Input, Modal, SegmentedControl, Textarea, TextInput } from "@mantine/core";
import { useMutation, useQueryClient } from "@tanstack/react-query";
import { Link, useNavigate, useSearch } from "@tanstack/react-router";
import { type FormEvent, useRef, useState } from "react";
import { type ApiError, api, type Calendar, errorOf, must } from "../api/client";
import { keys, useCalendars, useMe } from "../api/queries";
import { useRequestKey } from "../api/request";
import { Icon } from "../base/icons";
import { Ago, Answer, Empty, ErrorNote, Note, Overtaken, Panel, Table, Tags } from "../base/parts";
import { t } from "../text/t";

type Mode = Calendar["mode"];

// Calendars lists the days on which jobs of a project do not, or only, run by their
// schedules. The one that is open is in the address.
export function Calendars({ project }: { project: string }) {
  const search = useSearch({ strict: false }) as { job?: string; calendar?: string; new?: string };
  const navigate = useNavigate();
  const admin = useMe().data?.admin ?? false;
  const query = useCalendars(project);
  const open = (change: { calendar?: string; new?: string }) =>
    void navigate({
      to: "/projects/$project/schedules",
      params: { project },
      search: { ...(search.job ? { job: search.job } : {}), ...change } as never,
      replace: true,
    });
  const making = admin && search.new === "calendar";
  return (
    <Panel
      title={t("calendars.title")}
      aside={
        admin ? (
          <Button
            size="compact-sm"
            variant="default"
            leftSection={<Icon name="plus" size={13} />}
            onClick={() => open({ new: "calendar" })}
          >
            {t("calendars.new")}
          </Button>
        ) : null
      }
      flush
    >
      <Answer query={query}>
        {(data) =>
          data.items.length === 0 ? (
            <Empty title={t("calendars.none")}>{t("calendars.noneHint")}</Empty>
          ) : (
            <Table
              head={[
                t("calendars.name"),
                t("calendars.days"),
                [t("calendars.jobs"), "wide-only"],
                [t("calendars.changed"), "wide-only"],
                "",
              ]}
            >
              {data.items.map((c) => (
                <Row
                  key={c.name}
                  project={project}
                  calendar={c}
                  admin={admin}
                  onOpen={() => open({ calendar: c.name })}
                />
              ))}
            </Table>
          )
        }
      </Answer>
      <Modal
        opened={making || search.calendar !== undefined}
        onClose={() => open({})}
        title={making ? t("calendars.new") : t("calendars.of", { name: search.calendar ?? "" })}
        size="lg"
      >
        <Answer query={query}>
          {(data) => (
            <Opened
              project={project}
              making={making}
              now={data.items.find((c) => c.name === search.calendar)}
              admin={admin}
              onDone={() => open({})}
            />
          )}
        </Answer>
      </Modal>
    </Panel>
  );
}

// A row names so many days and jobs, and counts the rest.
const daysShown = 8;
const jobsShown = 3;

function Row({
  project,
  calendar: c,
  admin,
  onOpen,
}: {
  project: string;
  calendar: Calendar;
  admin: boolean;
  onOpen: () => void;
}) {
  return (
    <tr>
      <td>
        <Bdi>{c.name}</Bdi>
        <div className="muted" style={{ fontSize: "0.76rem" }}>
          <Bdi>{c.description}</Bdi>
        </div>
      </td>
      <td>
        <div>{t(`calendars.${c.mode}`)}</div>
        <Tags tags={c.days.slice(0, daysShown)} />
        <More n={c.days.length - daysShown} />
      </td>
      <td className="wide-only">
        <Jobs project={project} jobs={c.jobs.slice(0, jobsShown)} />
        <More n={c.jobs.length - jobsShown} />
      </td>
      <td className="wide-only muted" style={{ whiteSpace: "nowrap" }}>
        <Ago at={c.updatedAt} />
      </td>
      <td className="shrink">
        <Button
          size="compact-xs"
          variant="default"
          aria-label={t(admin ? "calendars.edit" : "calendars.show", { name: c.name })}
          onClick={onOpen}
        >
          {t(admin ? "edit" : "show")}
        </Button>
      </td>
    </tr>
  );
}

function More({ n }: { n: number }) {
  return n > 0 ? <span className="muted"> {t("calendars.more", { n })}</span> : null;
}

function Jobs({ project, jobs }: { project: string; jobs: string[] }) {
  if (jobs.length === 0) return <span className="muted">{t("calendars.noJobs")}</span>;
  return jobs.map((name) => (
    <div key={name}>
      <Link to="/projects/$project/jobs" params={{ project }} search={{ q: name } as never}>
        <Bdi>{name}</Bdi>
      </Link>
    </div>
  ));
}

// Opened is the dialog's inside. What is typed stays when somebody changes or deletes the
// calendar meanwhile; it is only told.
function Opened({
  project,
  making,
  now,
  admin,
  onDone,
}: {
  project: string;
  making: boolean;
  now: Calendar | undefined;
  admin: boolean;
  onDone: () => void;
}) {
  const [start, setStart] = useState(now);
  if (!making && !start) return <Empty title={t("calendars.gone")} />;
  return (
    <div className="stack">
      {start && !now ? <Note kind="warn">{t("calendars.deleted")}</Note> : null}
      {start && now && now.revision !== start.revision ? (
        <Overtaken text={t("calendars.overtaken")} onReload={() => setStart(now)} />
      ) : null}
      {start ? (
        <div className="muted">
          {t("calendars.usedBy")} <Jobs project={project} jobs={now?.jobs ?? start.jobs} />
        </div>
      ) : null}
      <Form key={start?.revision ?? 0} project={project} start={start} admin={admin} onDone={onDone} />
    </div>
  );
}

// entriesOf are the days that a text names, each with its line, from 1. Commas part them
// as lines do.
export function entriesOf(text: string): { day: string; line: number }[] {
  return text.split("\n").flatMap((part, at) =>
    part
      .split(",")
      .map((day) => ({ day: day.trim(), line: at + 1 }))
      .filter((entry) => entry.day !== ""),
  );
}

// badDays are what the hub said of days that it was sent, by the day itself: so a
// complaint goes with its line wherever that moves, and away once it is changed.
function badDays(error: ApiError | undefined, sent: string[]): Map<string, string> {
  const out = new Map<string, string>();
  for (const { path, message } of error?.fields ?? []) {
    const at = /\bdays\[(\d+)\]$/.exec(path)?.[1];
    const day = at === undefined ? undefined : sent[Number(at)];
    if (day !== undefined) out.set(day, message);
  }
  return out;
}

function Form({
  project,
  start,
  admin,
  onDone,
}: {
  project: string;
  start: Calendar | undefined;
  admin: boolean;
  onDone: () => void;
}) {
  const client = useQueryClient();
  const [name, setName] = useState(start?.name ?? "");
  const [description, setDescription] = useState(start?.description ?? "");
  const [mode, setMode] = useState<Mode>(start?.mode ?? "exclude");
  const [text, setText] = useState(start?.days.join("\n") ?? "");
  const { key, renew } = useRequestKey();
  const save = useMutation({
    mutationFn: (days: string[]) =>
      must(
        api.PUT("/api/v1/projects/{project}/calendars/{calendar}", {
          params: {
            path: { project, calendar: name.trim() },
            header: { "Idempotency-Key": key, ...(start ? { "If-Match": `"${start.revision}"` } : {}) },
          },
          body: { description, mode, days },
        }),
      ),
    onSuccess: onDone,
    onError: renew,
    onSettled: () => void client.invalidateQueries({ queryKey: keys.schedules(project) }),
  });
  const remove = useMutation({
    mutationFn: ({ name, revision }: Calendar) =>
      must(
        api.DELETE("/api/v1/projects/{project}/calendars/{calendar}", {
          params: { path: { project, calendar: name }, header: { "If-Match": `"${revision}"` } },
        }),
      ),
    onSuccess: onDone,
    onSettled: () => void client.invalidateQueries({ queryKey: keys.schedules(project) }),
  });
  const submit = (event: FormEvent) => {
    event.preventDefault();
    save.mutate(entriesOf(text).map((entry) => entry.day));
  };
  const error = save.error ? errorOf(save.error) : undefined;
  const bad = badDays(error, save.variables ?? []);
  return (
    <form className="stack" onSubmit={submit}>
      <TextInput
        label={t("calendars.name")}
        description={start ? undefined : t("calendars.nameHint")}
        value={name}
        readOnly={start !== undefined}
        onChange={(e) => setName(e.currentTarget.value)}
        error={error?.field("name")}
        required
        withAsterisk={false}
        maxLength={100}
        spellCheck={false}
        autoCapitalize="off"
      />
      <Textarea
        label={t("calendars.description")}
        value={description}
        readOnly={!admin}
        onChange={(e) => setDescription(e.currentTarget.value)}
        error={error?.field("description")}
        autosize
        minRows={1}
        maxRows={4}
      />
      <div>
        <SegmentedControl
          size="xs"
          value={mode}
          readOnly={!admin}
          onChange={(v) => setMode(v as Mode)}
          aria-label={t("calendars.mode")}
          data={(["exclude", "only"] as const).map((v) => ({ value: v, label: t(`calendars.mode.${v}`) }))}
        />
      </div>
      <Days text={text} setText={setText} readOnly={!admin} bad={bad} error={error?.field("days")} />
      {error && bad.size === 0 ? <ErrorNote error={error} /> : null}
      {remove.error ? <ErrorNote error={remove.error} /> : null}
      {admin ? (
        <div className="row">
          {start ? (
            <Button
              variant="default"
              color="red"
              loading={remove.isPending}
              onClick={() => window.confirm(t("calendars.deleteAsk", { name: start.name })) && remove.mutate(start)}
            >
              {t("calendars.delete")}
            </Button>
          ) : null}
          <span className="spread" />
          <Button variant="default" onClick={onDone}>
            {t("cancel")}
          </Button>
          <Button type="submit" loading={save.isPending}>
            {t("save")}
          </Button>
        </div>
      ) : null}
    </form>
  );
}

// Days is the text of the days with the number of each line. What is wrong with a line is
// told below it all, and leads there.
function Days({
  text,
  setText,
  readOnly,
  bad,
  error,
}: {
  text: string;
  setText: (text: string) => void;
  readOnly: boolean;
  bad: Map<string, string>;
  error: string | undefined;
}) {
  const area = useRef<HTMLTextAreaElement>(null);
  const lines = text.split("\n");
  const wrong = entriesOf(text).filter((entry) => bad.has(entry.day));
  const marked = new Set(wrong.map((entry) => entry.line));
  const goTo = (line: number) => {
    const from = lines.slice(0, line - 1).join("\n").length + (line > 1 ? 1 : 0);
    area.current?.focus();
    area.current?.setSelectionRange(from, from + (lines[line - 1]?.length ?? 0));
  };
  return (
    <Input.Wrapper id="calendar-days" label={t("calendars.days")} description={t("calendars.daysHint")} error={error}>
      <div className={wrong.length > 0 ? "day-lines wrong" : "day-lines"}>
        <div aria-hidden="true">
          {lines
            .map((_, at) => at + 1)
            .map((line) => (
              <div key={line} className={marked.has(line) ? "bad" : undefined}>
                {line}
              </div>
            ))}
        </div>
        <textarea
          id="calendar-days"
          ref={area}
          value={text}
          readOnly={readOnly}
          onChange={(e) => setText(e.currentTarget.value)}
          rows={Math.max(lines.length, 6)}
          wrap="off"
          spellCheck={false}
          autoCapitalize="characters"
          autoCorrect="off"
          aria-invalid={wrong.length > 0}
          aria-describedby={wrong.length > 0 ? "calendar-days-wrong" : undefined}
        />
      </div>
      {wrong.length > 0 ? (
        <ul className="day-problems" id="calendar-days-wrong" role="alert">
          {wrong.map((entry) => (
            <li key={`${entry.line} ${entry.day}`}>
              <Button size="compact-xs" variant="default" onClick={() => goTo(entry.line)}>
                {t("calendars.line", { line: String(entry.line) })}
              </Button>
              <Bdi>{bad.get(entry.day)}</Bdi>
            </li>
          ))}
        </ul>
      ) : null}
    </Input.Wrapper>
  );
}
