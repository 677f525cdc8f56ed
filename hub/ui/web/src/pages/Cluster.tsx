import { Button, Menu } from "@mantine/core";
import { notifications } from "@mantine/notifications";
import { useMutation, useQueryClient } from "@tanstack/react-query";
import { useState } from "react";
import {
  type Archive as ArchiveType,
  api,
  type Cluster as ClusterType,
  errorOf,
  type Member,
  type MemberChange,
  must,
} from "../api/client";
import { keys, useCluster, useMe } from "../api/queries";
import { Bdi } from "../base/Bdi";
import { Icon } from "../base/icons";
import { Ago, Answer, Page, Panel, Table, When } from "../base/parts";
import { t } from "../text/t";
import { Held, HoldDialog } from "./Hold";
import { Retention } from "./Retention";

export function Cluster() {
  const query = useCluster();
  const admin = useMe().data?.admin ?? false;
  const [holding, setHolding] = useState(false);
  return (
    <Page
      title={t("nav.cluster")}
      actions={
        admin && query.data && !query.data.recovery ? (
          <Button variant="default" onClick={() => setHolding(true)} leftSection={<Icon name="pause" size={14} />}>
            {t("hold.button")}
          </Button>
        ) : null
      }
    >
      <Answer query={query}>
        {(cluster) => (
          <>
            {cluster.recovery ? <Held recovery={cluster.recovery} admin={admin} /> : null}
            <Members cluster={cluster} admin={admin} />
            <Installation cluster={cluster} admin={admin} />
            <Retention run={cluster.retention} quota={cluster.quota} admin={admin} />
            {cluster.archive ? <Archive archive={cluster.archive} /> : null}
          </>
        )}
      </Answer>
      <HoldDialog opened={holding} onClose={() => setHolding(false)} />
    </Page>
  );
}

// useChange does something to the cluster once a person has read what will happen. The
// answer is the cluster as it is then.
function useChange() {
  const client = useQueryClient();
  const change = useMutation({
    mutationFn: (send: () => Promise<ClusterType>) => send(),
    onSuccess: (cluster) => client.setQueryData(keys.cluster, cluster),
    onError: (cause) =>
      notifications.show({ color: "red", title: t("cluster.notChanged"), message: errorOf(cause).message }),
  });
  return {
    pending: change.isPending,
    ask: (question: string, send: () => Promise<ClusterType>) => window.confirm(question) && change.mutate(send),
  };
}

function Members({ cluster, admin }: { cluster: ClusterType; admin: boolean }) {
  return (
    <Panel title={t("cluster.members")} flush>
      <Table
        head={[
          t("cluster.name"),
          t("runners.state"),
          [t("cluster.sessions"), "num wide-only"],
          [t("cluster.gateway"), "wide-only"],
          [t("cluster.roles"), "wide-only"],
          [t("runners.version"), "wide-only"],
          t("cluster.heartbeat"),
          ...(admin ? [""] : []),
        ]}
      >
        {cluster.members.map((m) => (
          <tr key={m.id}>
            <td>
              <Bdi>{m.name}</Bdi> {m.self ? <span className="chip">{t("cluster.self")}</span> : null}
            </td>
            <td>
              <MemberState cluster={cluster} member={m} />
            </td>
            <td className="num wide-only">{m.sessions}</td>
            <td className="wide-only mono">{m.gateway}</td>
            <td className="wide-only">{m.roles.join(", ")}</td>
            <td className="wide-only muted">{m.version}</td>
            <td className="muted" style={{ whiteSpace: "nowrap" }}>
              <Ago at={m.heartbeatAt} />
            </td>
            {admin ? (
              <td className="shrink">{m.state === "dead" ? null : <MemberMenu cluster={cluster} member={m} />}</td>
            ) : null}
          </tr>
        ))}
      </Table>
    </Panel>
  );
}

// MemberState tells whether a member lives, and below it what it does less than others.
function MemberState({ cluster, member: m }: { cluster: ClusterType; member: Member }) {
  const look = { active: "st-succeeded", inactive: "st-held", dead: "st-failed" }[m.state];
  const less: string[] = [];
  if (m.state !== "dead") {
    if (m.draining) less.push(t("cluster.drained"));
    if (cluster.mode === "active-passive") less.push(t(m.active ? "cluster.serves" : "cluster.standsBy"));
    if (m.executionMode === "passive") less.push(t("cluster.noFires"));
  }
  return (
    <>
      <span className={`status ${look}`}>{t(`cluster.${m.state}`)}</span>
      {less.map((text) => (
        <div key={text} className="muted" style={{ fontSize: "0.76rem" }}>
          {text}
        </div>
      ))}
    </>
  );
}

function MemberMenu({ cluster, member: m }: { cluster: ClusterType; member: Member }) {
  const { pending, ask } = useChange();
  const name = m.name;
  const set = (body: MemberChange) => () =>
    must(api.PATCH("/api/v1/cluster/members/{member}", { params: { path: { member: m.id } }, body }));
  const others = cluster.members.some((o) => o.id !== m.id && o.state === "active" && !o.draining);
  const before = cluster.members.find((o) => o.active && o.id !== m.id)?.name ?? "–";
  return (
    <Menu position="bottom-end">
      <Menu.Target>
        <Button size="compact-xs" variant="default" loading={pending} aria-label={t("cluster.actionsOf", { name })}>
          <Icon name="dots" size={13} />
        </Button>
      </Menu.Target>
      <Menu.Dropdown>
        {cluster.mode === "active-passive" && !m.active && !m.draining ? (
          <Menu.Item
            onClick={() =>
              ask(t("cluster.promoteAsk", { name, before }), () =>
                must(api.POST("/api/v1/cluster/promote", { body: { member: m.id } })),
              )
            }
          >
            {t("cluster.promote")}
          </Menu.Item>
        ) : null}
        {m.draining ? (
          <Menu.Item onClick={() => ask(t("cluster.undrainAsk", { name }), set({ draining: false }))}>
            {t("cluster.undrain")}
          </Menu.Item>
        ) : (
          <Menu.Item
            onClick={() =>
              ask(t(others ? "cluster.drainAsk" : "cluster.drainLastAsk", { name }), set({ draining: true }))
            }
          >
            {t("cluster.drain")}
          </Menu.Item>
        )}
        {m.executionMode === "passive" ? (
          <Menu.Item onClick={() => ask(t("cluster.fireAsk", { name }), set({ executionMode: "active" }))}>
            {t("cluster.fire")}
          </Menu.Item>
        ) : (
          <Menu.Item onClick={() => ask(t("cluster.noFireAsk", { name }), set({ executionMode: "passive" }))}>
            {t("cluster.noFire")}
          </Menu.Item>
        )}
      </Menu.Dropdown>
    </Menu>
  );
}

function Installation({ cluster, admin }: { cluster: ClusterType; admin: boolean }) {
  const { pending, ask } = useChange();
  const fires = cluster.executionMode === "active";
  const leaders = cluster.leases.filter((lease) => lease.held);
  return (
    <Panel title={t("cluster.installation")}>
      <dl className="facts">
        <dt>{t("cluster.mode")}</dt>
        <dd>{t(`cluster.mode.${cluster.mode}`)}</dd>
        <dt>{t("nav.schedules")}</dt>
        <dd className="row wrap">
          {t(fires ? "cluster.allFire" : "cluster.noneFire")}
          {admin ? (
            <Button
              size="compact-xs"
              variant="default"
              loading={pending}
              onClick={() =>
                ask(t(fires ? "cluster.noneFireAsk" : "cluster.allFireAsk"), () =>
                  must(api.PATCH("/api/v1/cluster", { body: { executionMode: fires ? "passive" : "active" } })),
                )
              }
            >
              {t(fires ? "cluster.stopFires" : "cluster.startFires")}
            </Button>
          ) : null}
        </dd>
        {leaders.map((lease) => (
          <Leader key={lease.name} name={lease.name} holder={lease.holder} since={lease.takenAt} />
        ))}
        <dt>{t("cluster.database")}</dt>
        <dd>{cluster.database === "sqlite" ? "SQLite" : "PostgreSQL"}</dd>
        <dt>{t("cluster.time")}</dt>
        <dd>
          <When at={cluster.time} />
        </dd>
        <dt>{t("cluster.incarnation")}</dt>
        <dd>{cluster.incarnation}</dd>
        <dt>Id</dt>
        <dd className="mono">{cluster.id}</dd>
      </dl>
    </Panel>
  );
}

// Archive tells where logs go, how many wait, and why.
function Archive({ archive }: { archive: ArchiveType }) {
  return (
    <Panel title={t("archive.title")}>
      <dl className="facts">
        <dt>{t("archive.url")}</dt>
        <dd className="mono">
          <Bdi>{archive.url}</Bdi>
        </dd>
        <dt>{t("archive.waiting")}</dt>
        <dd>
          {archive.waiting > 0
            ? t("archive.logs", { n: archive.waiting, bytes: archive.waitingBytes })
            : t("archive.nothing")}
        </dd>
        {archive.oldestAt ? (
          <>
            <dt>{t("archive.oldest")}</dt>
            <dd>
              <When at={archive.oldestAt} />
            </dd>
          </>
        ) : null}
        {archive.failing > 0 ? (
          <>
            <dt>{t("archive.failing")}</dt>
            <dd>
              <span className="status st-failed">{t("archive.failed", { n: archive.failing })}</span>{" "}
              {archive.lastErrorAt ? <When at={archive.lastErrorAt} /> : null}
              {archive.lastError ? (
                <div className="mono">
                  <Bdi>{archive.lastError}</Bdi>
                </div>
              ) : null}
              <div className="muted">{t("archive.failedHint")}</div>
            </dd>
          </>
        ) : null}
      </dl>
    </Panel>
  );
}

// Leader tells which member does a work for all.
function Leader({ name, holder, since }: { name: string; holder: string; since: string }) {
  return (
    <>
      <dt>{t("cluster.lease", { name })}</dt>
      <dd>
        <Bdi>{holder}</Bdi>{" "}
        <span className="muted">
          {t("cluster.leaseSince")} <When at={since} />
        </span>
      </dd>
    </>
  );
}
