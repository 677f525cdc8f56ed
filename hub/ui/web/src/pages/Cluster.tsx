import { useCluster } from "../api/queries";
import type { components } from "../api/schema";
import { Ago, Answer, Page, Panel, When } from "../base/parts";
import { t } from "../text/t";

type Recovery = NonNullable<components["schemas"]["Cluster"]["recovery"]>;

// Held says why work waits, and for whom.
function Held({ recovery }: { recovery: Recovery }) {
  return (
    <Panel title={<span className="status st-held">{t(`cluster.held.${recovery.kind}`)}</span>}>
      <dl className="facts">
        <dt>{t("cluster.heldSince")}</dt>
        <dd>
          <When at={recovery.since} />
        </dd>
        <dt>{t("cluster.heldReason")}</dt>
        <dd>{recovery.reason}</dd>
        <dt>{t("cluster.heldOpen")}</dt>
        <dd>{recovery.held}</dd>
        {recovery.awaited.length > 0 ? (
          <>
            <dt>{t("cluster.heldAwaited")}</dt>
            <dd>{recovery.awaited.map((r) => r.name).join(", ")}</dd>
          </>
        ) : null}
      </dl>
      <p className="muted">{t(recovery.kind === "planned" ? "cluster.heldMoved" : "cluster.heldHint")}</p>
    </Panel>
  );
}

export function Cluster() {
  const query = useCluster();
  return (
    <Page title={t("nav.cluster")}>
      <Answer query={query}>
        {(cluster) => (
          <>
            {cluster.recovery ? <Held recovery={cluster.recovery} /> : null}
            <Panel title={t("cluster.members")} flush>
              <div className="scroll-x">
                <table className="list">
                  <thead>
                    <tr>
                      <th>{t("cluster.name")}</th>
                      <th>{t("runners.state")}</th>
                      <th>{t("cluster.gateway")}</th>
                      <th className="wide-only">{t("cluster.roles")}</th>
                      <th className="wide-only">{t("runners.version")}</th>
                      <th>{t("cluster.heartbeat")}</th>
                    </tr>
                  </thead>
                  <tbody>
                    {cluster.members.map((m) => (
                      <tr key={m.id}>
                        <td>
                          <bdi>{m.name}</bdi> {m.self ? <span className="chip">{t("cluster.self")}</span> : null}
                        </td>
                        <td>
                          <span
                            className={`status ${m.state === "active" ? "st-succeeded" : m.state === "inactive" ? "st-held" : "st-failed"}`}
                          >
                            {t(`cluster.${m.state}`)}
                          </span>
                        </td>
                        <td className="mono">{m.gateway}</td>
                        <td className="wide-only">{m.roles.join(", ")}</td>
                        <td className="wide-only muted">{m.version}</td>
                        <td className="muted">
                          <Ago at={m.heartbeatAt} />
                        </td>
                      </tr>
                    ))}
                  </tbody>
                </table>
              </div>
            </Panel>
            <Panel title={t("cluster.installation")}>
              <dl className="facts">
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
          </>
        )}
      </Answer>
    </Page>
  );
}
