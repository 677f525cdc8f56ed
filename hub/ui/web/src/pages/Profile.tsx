import { Button, Modal, SegmentedControl, Select, TextInput, useMantineColorScheme } from "@mantine/core";
import { notifications } from "@mantine/notifications";
import { useMutation, useQueryClient } from "@tanstack/react-query";
import { type FormEvent, useState } from "react";
import { api, errorOf, left, must, signedOut } from "../api/client";
import { keys, useMe, useOwnTokens } from "../api/queries";
import { useRequestKey } from "../api/request";
import { Bdi } from "../base/Bdi";
import { Icon } from "../base/icons";
import { Ago, Answer, Copy, ErrorNote, Note, Page, Panel, Table } from "../base/parts";
import { zoneOffset } from "../base/time";
import { t } from "../text/t";

export function Profile() {
  const me = useMe();
  const client = useQueryClient();
  const { colorScheme, setColorScheme } = useMantineColorScheme();
  const leave = useMutation({
    mutationFn: () => must(api.DELETE("/api/v1/sessions/current")),
    onSuccess: () => {
      left.set(true);
      client.clear();
      signedOut.set(true);
    },
    // A hub that did not hear of it still knows this browser: who walks away must not be
    // told that he is signed out.
    onError: (cause) => {
      const { code, message } = errorOf(cause);
      if (code !== "unauthenticated") notifications.show({ color: "red", title: t("profile.signOutFailed"), message });
    },
  });
  return (
    <Page
      title={me.data?.name ?? t("nav.profile")}
      actions={
        <Button
          variant="default"
          loading={leave.isPending}
          onClick={() => leave.mutate()}
          leftSection={<Icon name="out" size={14} />}
        >
          {t("profile.signOut")}
        </Button>
      }
    >
      <Panel title={t("profile.look")}>
        <dl className="facts" style={{ alignItems: "center" }}>
          <dt>{t("profile.colours")}</dt>
          <dd>
            <SegmentedControl
              size="xs"
              value={colorScheme}
              onChange={(v) => setColorScheme(v as "auto" | "light" | "dark")}
              data={(["auto", "light", "dark"] as const).map((v) => ({ value: v, label: t(`profile.${v}`) }))}
            />
          </dd>
          <dt>{t("profile.zone")}</dt>
          <dd>
            {Intl.DateTimeFormat().resolvedOptions().timeZone} ({zoneOffset(Date.now())})
          </dd>
          <dt>{t("profile.right")}</dt>
          <dd>{me.data?.admin ? t("profile.admin") : t("profile.user")}</dd>
          <dt>{t("profile.hub")}</dt>
          <dd>{me.data ? t("profile.hubVersion", { version: me.data.version, member: me.data.member }) : "–"}</dd>
        </dl>
      </Panel>
      <Tokens />
    </Page>
  );
}

const day = 86_400_000;

function Tokens() {
  const query = useOwnTokens();
  const client = useQueryClient();
  const [making, setMaking] = useState(false);
  const remove = useMutation({
    mutationFn: (id: string) => must(api.DELETE("/api/v1/tokens/{id}", { params: { path: { id } } })),
    onSuccess: () => void client.invalidateQueries({ queryKey: keys.ownTokens }),
    onError: (cause) =>
      notifications.show({ color: "red", title: t("profile.deleteFailed"), message: errorOf(cause).message }),
  });
  return (
    <Panel
      title={t("profile.tokens")}
      flush
      aside={
        <Button
          size="compact-sm"
          variant="default"
          onClick={() => setMaking(true)}
          leftSection={<Icon name="plus" size={12} />}
        >
          {t("profile.newToken")}
        </Button>
      }
    >
      <Answer query={query}>
        {(data) =>
          data.items.length === 0 ? (
            <div className="panel-body muted">{t("profile.noTokens")}</div>
          ) : (
            <Table
              head={[
                t("profile.tokenName"),
                [t("profile.created"), "wide-only"],
                t("profile.used"),
                t("runners.expires"),
                "",
              ]}
            >
              {data.items.map((token) => (
                <tr key={token.id}>
                  <td>
                    <Bdi>{token.name}</Bdi>
                  </td>
                  <td className="wide-only muted">
                    <Ago at={token.createdAt} />
                  </td>
                  <td className="muted">{token.lastUsedAt ? <Ago at={token.lastUsedAt} /> : t("profile.never")}</td>
                  <td className="muted">{token.expiresAt ? <Ago at={token.expiresAt} /> : t("profile.never")}</td>
                  <td className="shrink">
                    <Button
                      size="compact-xs"
                      variant="default"
                      color="red"
                      onClick={() =>
                        window.confirm(t("profile.deleteAsk", { name: token.name })) && remove.mutate(token.id)
                      }
                    >
                      {t("profile.delete")}
                    </Button>
                  </td>
                </tr>
              ))}
            </Table>
          )
        }
      </Answer>
      <Modal opened={making} onClose={() => setMaking(false)} title={t("profile.newToken")}>
        {making ? <NewToken onDone={() => setMaking(false)} /> : null}
      </Modal>
    </Panel>
  );
}

function NewToken({ onDone }: { onDone: () => void }) {
  const client = useQueryClient();
  const [name, setName] = useState("");
  const [ttl, setTTL] = useState(String(90 * day));
  const { key, renew } = useRequestKey();
  const create = useMutation({
    mutationFn: () =>
      must(
        api.POST("/api/v1/tokens", {
          params: { header: { "Idempotency-Key": key } },
          body: { name, ttlMs: Number(ttl) },
        }),
      ),
    onSuccess: () => void client.invalidateQueries({ queryKey: keys.ownTokens }),
    onError: renew,
  });
  const submit = (event: FormEvent) => {
    event.preventDefault();
    create.mutate();
  };
  if (create.data)
    return (
      <div className="stack">
        <Note kind="warn">{t("profile.once")}</Note>
        <pre className="code" style={{ whiteSpace: "pre-wrap", overflowWrap: "anywhere" }}>
          {create.data.secret}
        </pre>
        <div className="row">
          <Copy text={create.data.secret} />
          <span className="spread" />
          <Button variant="default" onClick={onDone}>
            {t("close")}
          </Button>
        </div>
      </div>
    );
  return (
    <form className="stack" onSubmit={submit}>
      <TextInput
        label={t("profile.tokenName")}
        value={name}
        onChange={(e) => setName(e.currentTarget.value)}
        required
        withAsterisk={false}
        data-autofocus
      />
      <Select
        label={t("enrol.ttl")}
        allowDeselect={false}
        value={ttl}
        onChange={(v) => setTTL(v ?? String(90 * day))}
        data={[7, 30, 90, 365].map((n) => ({ value: String(n * day), label: t("enrol.days", { n }) }))}
      />
      {create.error ? <ErrorNote error={create.error} /> : null}
      <div className="row">
        <span className="spread" />
        <Button variant="default" onClick={onDone}>
          {t("cancel")}
        </Button>
        <Button type="submit" loading={create.isPending}>
          {t("profile.create")}
        </Button>
      </div>
    </form>
  );
}
