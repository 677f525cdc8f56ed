import { Button, Modal, MultiSelect, Select, TagsInput, TextInput } from "@mantine/core";
import { useMutation, useQuery, useQueryClient } from "@tanstack/react-query";
import { useEffect, useState } from "react";
import { ApiError, api, type CreatedRunnerToken, must, problemFrom } from "../api/client";
import { keys, useMe, useProjects, useRunners, useRunnerTokens } from "../api/queries";
import { useRequestKey } from "../api/request";
import { Copy, ErrorNote, Loading, Note } from "../base/parts";
import { local } from "../base/time";
import { t } from "../text/t";
import { enrolCommands, hubAddress, loopback, platforms, servedOf } from "./enrol";

const hour = 3_600_000;

// EnrolDialog makes a token when asked and shows what to paste on the other machine.
// It turns to connected by itself.
export function EnrolDialog({ opened, onClose, project }: { opened: boolean; onClose: () => void; project: string }) {
  const projects = useProjects();
  return (
    <Modal opened={opened} onClose={onClose} title={t("enrol.title")} size="xl">
      {opened ? projects.isPending ? <Loading /> : <Body project={project} onClose={onClose} /> : null}
    </Modal>
  );
}

function Body({ project, onClose }: { project: string; onClose: () => void }) {
  const client = useQueryClient();
  const projects = useProjects();
  const [chosen, setChosen] = useState<string[]>(project ? [project] : []);
  const [tags, setTags] = useState<string[]>([]);
  const [ttl, setTTL] = useState(String(hour));
  const { key, renew } = useRequestKey();
  const create = useMutation({
    mutationFn: () =>
      must(
        api.POST("/api/v1/runners/tokens", {
          params: { header: { "Idempotency-Key": key } },
          body: { projects: chosen, tags, ttlMs: Number(ttl) },
        }),
      ),
    onSuccess: () => void client.invalidateQueries({ queryKey: keys.tokens }),
    onError: renew,
  });
  if (create.data) return <Commands token={create.data} onClose={onClose} />;
  return (
    <div className="stack">
      <MultiSelect
        label={t("enrol.projects")}
        description={t("enrol.projectsHint")}
        placeholder={chosen.length === 0 ? t("enrol.allProjects") : ""}
        data={projects.data?.items.map((p) => p.name) ?? []}
        value={chosen}
        onChange={setChosen}
        clearable
        searchable
      />
      <TagsInput
        label={t("enrol.tags")}
        description={t("enrol.tagsHint")}
        value={tags}
        onChange={setTags}
        placeholder={tags.length === 0 ? "dc1" : ""}
      />
      <Select
        label={t("enrol.ttl")}
        w={200}
        allowDeselect={false}
        value={ttl}
        onChange={(v) => setTTL(v ?? String(hour))}
        data={[
          { value: String(hour), label: t("enrol.hours", { n: 1 }) },
          { value: String(24 * hour), label: t("enrol.hours", { n: 24 }) },
          { value: String(7 * 24 * hour), label: t("enrol.days", { n: 7 }) },
        ]}
      />
      {create.error ? <ErrorNote error={create.error} /> : null}
      <div className="row">
        <span className="spread" />
        <Button variant="default" onClick={onClose}>
          {t("cancel")}
        </Button>
        <Button loading={create.isPending} onClick={() => create.mutate()}>
          {t("enrol.create")}
        </Button>
      </div>
    </div>
  );
}

// useServed asks for which systems the hub has a runner; none is an answer too.
function useServed() {
  return useQuery({
    queryKey: ["served-runners"],
    queryFn: async ({ signal }) => {
      const answer = await fetch("/install/SHA256SUMS", { signal }).catch(() => {
        throw new ApiError("unreachable", 0, t("error.unreachable"));
      });
      if (answer.status === 404) return [];
      if (!answer.ok) throw problemFrom(await answer.json().catch(() => undefined), answer.status);
      return servedOf(await answer.text());
    },
    staleTime: 60_000,
  });
}

function Commands({ token, onClose }: { token: CreatedRunnerToken; onClose: () => void }) {
  const me = useMe();
  const served = useServed();
  const configured = token.hubUrl || me.data?.publicUrl || "";
  const [typed, setTyped] = useState(configured || window.location.origin);
  const hub = hubAddress(typed);
  if (served.isPending) return <Loading />;
  const text = enrolCommands({ hub, token: token.token, served: served.data ?? [] });
  return (
    <div className="stack">
      <TextInput
        label={t("enrol.address")}
        description={configured ? t("enrol.addressConfigured") : t("enrol.addressHint")}
        value={typed}
        onChange={(e) => setTyped(e.currentTarget.value)}
        error={hub === "" ? t("enrol.addressBad") : undefined}
        classNames={{ input: "mono" }}
        spellCheck={false}
      />
      {hub && loopback(hub) ? <Note kind="warn">{t("enrol.loopback")}</Note> : null}
      {served.data ? (
        served.data.length > 0 ? (
          <span className="muted">{t("enrol.serves", { platforms: platforms(served.data) })}</span>
        ) : (
          <Note kind="warn">{t("enrol.noBinary")}</Note>
        )
      ) : (
        <>
          <ErrorNote error={served.error} onRetry={() => void served.refetch()} />
          <Note kind="warn">{t("enrol.binaryUnknown")}</Note>
        </>
      )}
      <div>
        <div className="row" style={{ marginBottom: 6 }}>
          <strong>{t("enrol.paste")}</strong>
          <span className="spread" />
          <Copy text={text} />
        </div>
        <pre className="code" style={{ whiteSpace: "pre-wrap", overflowWrap: "anywhere" }}>
          {text}
        </pre>
        <div className="muted" style={{ marginTop: 6, fontSize: "0.8rem" }}>
          {hub.startsWith("https:") && served.data?.length ? `${t("enrol.insecureWhy")} ` : null}
          {t("enrol.secret", { until: local(Date.parse(token.expiresAt), Date.now()) })}
        </div>
      </div>
      <Progress token={token} />
      <div className="row">
        <span className="spread" />
        <Button variant="default" onClick={onClose}>
          {t("close")}
        </Button>
      </div>
    </div>
  );
}

// Progress follows the token to its runner, and the runner to its first session.
function Progress({ token }: { token: CreatedRunnerToken }) {
  const client = useQueryClient();
  const tokens = useRunnerTokens(true, 1500);
  const runners = useRunners();
  const mine = tokens.data?.items.find((item) => item.id === token.id);
  const runner = runners.data?.items.find((item) => item.id === mine?.runnerId);
  const runnerID = mine?.runnerId;
  useEffect(() => {
    if (runnerID) void client.invalidateQueries({ queryKey: keys.runners });
  }, [client, runnerID]);
  if (runner?.connected)
    return (
      <div role="status">
        <Note kind="good">
          <strong>{t("enrol.connected", { name: runner.name })}</strong>{" "}
          <span className="muted">
            {t("enrol.connectedMore", {
              host: runner.hostname ?? runner.name,
              os: `${runner.os ?? ""}/${runner.arch ?? ""}`,
              version: runner.version ?? "",
            })}
          </span>
        </Note>
      </div>
    );
  const state = mine?.state ?? "open";
  if (state === "expired" || state === "revoked") return <Note kind="bad">{t(`enrol.${state}`)}</Note>;
  return (
    <div role="status">
      <Note icon={runnerID ? "runners" : "hourglass"}>{runnerID ? t("enrol.enrolled") : t("enrol.waiting")}</Note>
    </div>
  );
}
