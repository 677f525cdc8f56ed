import { Button, Modal, Radio, Textarea } from "@mantine/core";
import { useMutation, useQueryClient } from "@tanstack/react-query";
import { Link } from "@tanstack/react-router";
import { type ReactNode, useState } from "react";
import { api, type Cluster, must, type Recovery } from "../api/client";
import { keys } from "../api/queries";
import { Bdi } from "../base/Bdi";
import { Ago, ErrorNote, Panel, When } from "../base/parts";
import { t } from "../text/t";

// Held says why work waits, and for whom; who may ends that.
export function Held({ recovery, admin }: { recovery: Recovery; admin: boolean }) {
  const [releasing, setReleasing] = useState(false);
  return (
    <Panel
      title={<span className="status st-held">{t(`cluster.held.${recovery.kind}`)}</span>}
      aside={
        admin ? (
          <Button size="compact-sm" onClick={() => setReleasing(true)}>
            {t("release.button")}
          </Button>
        ) : null
      }
    >
      <dl className="facts">
        <dt>{t("cluster.heldSince")}</dt>
        <dd>
          <When at={recovery.since} />
        </dd>
        <dt>{t("cluster.heldReason")}</dt>
        <dd>
          <Bdi>{recovery.reason}</Bdi>
        </dd>
        <Open recovery={recovery} />
      </dl>
      <p className="muted" style={{ marginBottom: 0 }}>
        {t(recovery.kind === "planned" ? "cluster.heldMoved" : "cluster.heldHint")}
      </p>
      <Modal opened={releasing} onClose={() => setReleasing(false)} title={t("release.title")} size="lg">
        {releasing ? <Release recovery={recovery} onDone={() => setReleasing(false)} /> : null}
      </Modal>
    </Panel>
  );
}

// Open tells what waits, and the runners that may have had it.
function Open({ recovery }: { recovery: Recovery }) {
  return (
    <>
      <dt>{t("cluster.heldOpen")}</dt>
      <dd>
        {recovery.held > 0 ? (
          <Link to="/executions" search={{ status: "held" } as never}>
            {recovery.held}
          </Link>
        ) : (
          recovery.held
        )}
      </dd>
      {recovery.awaited.length > 0 ? (
        <>
          <dt>{t("cluster.heldAwaited")}</dt>
          <dd>
            {recovery.awaited.map((r) => (
              <div key={r.id}>
                <Link to="/runners/$id" params={{ id: r.id }}>
                  <Bdi>{r.name}</Bdi>
                </Link>{" "}
                <span className="muted">
                  {r.lastSeenAt ? (
                    <>
                      {t("release.seen")} <Ago at={r.lastSeenAt} />
                    </>
                  ) : (
                    t("release.neverSeen")
                  )}
                </span>
              </div>
            ))}
          </dd>
        </>
      ) : null}
    </>
  );
}

// useStep sends a hold or a release; what is shown as held follows from its answer.
function useStep(send: () => Promise<Cluster>, onDone: () => void) {
  const client = useQueryClient();
  return useMutation({
    mutationFn: send,
    onSuccess: (cluster) => {
      client.setQueryData(keys.cluster, cluster);
      void client.invalidateQueries({ queryKey: keys.executions });
      onDone();
    },
  });
}

function Release({ recovery, onDone }: { recovery: Recovery; onDone: () => void }) {
  const [rest, setRest] = useState<"release" | "fail">("release");
  const planned = recovery.kind === "planned";
  const release = useStep(() => must(api.POST("/api/v1/cluster/release", { body: { rest } })), onDone);
  return (
    <div className="stack">
      <dl className="facts">
        <Open recovery={recovery} />
      </dl>
      {planned ? (
        <p style={{ margin: 0 }}>{t("release.planned")}</p>
      ) : (
        <Radio.Group value={rest} onChange={(v) => setRest(v as "release" | "fail")} aria-label={t("release.rest")}>
          <div className="stack">
            <Radio value="release" label={t("release.goOn")} description={t("release.goOnHint")} />
            <Radio value="fail" label={t("release.fail")} description={t("release.failHint")} />
          </div>
        </Radio.Group>
      )}
      <Steps error={release.error} onCancel={onDone}>
        <Button
          color={rest === "fail" ? "red" : undefined}
          onClick={() => release.mutate()}
          loading={release.isPending}
        >
          {t(rest === "fail" ? "release.doFail" : "release.do")}
        </Button>
      </Steps>
    </div>
  );
}

// HoldDialog asks which hold is meant, and says what each does.
export function HoldDialog({ opened, onClose }: { opened: boolean; onClose: () => void }) {
  return (
    <Modal opened={opened} onClose={onClose} title={t("hold.title")} size="lg">
      {opened ? <Hold onDone={onClose} /> : null}
    </Modal>
  );
}

function Hold({ onDone }: { onDone: () => void }) {
  const [kind, setKind] = useState<"planned" | "restored">("planned");
  const [reason, setReason] = useState("");
  const hold = useStep(
    () => must(api.POST("/api/v1/cluster/hold", { body: { kind, ...(reason.trim() ? { reason } : {}) } })),
    onDone,
  );
  return (
    <div className="stack">
      <Radio.Group value={kind} onChange={(v) => setKind(v as "planned" | "restored")} aria-label={t("hold.kind")}>
        <div className="stack">
          <Radio value="planned" label={t("hold.planned")} description={t("hold.plannedHint")} />
          <Radio value="restored" label={t("hold.restored")} description={t("hold.restoredHint")} />
        </div>
      </Radio.Group>
      <Textarea
        label={t("hold.reason")}
        description={t("hold.reasonHint")}
        value={reason}
        onChange={(e) => setReason(e.currentTarget.value)}
        maxLength={1000}
        autosize
        minRows={1}
        maxRows={4}
      />
      <Link to="/executions" search={{ status: "queued,running,cancelling" } as never}>
        {t("hold.open")}
      </Link>
      <Steps error={hold.error} onCancel={onDone}>
        <Button onClick={() => hold.mutate()} loading={hold.isPending}>
          {t("hold.do")}
        </Button>
      </Steps>
    </div>
  );
}

function Steps({ error, onCancel, children }: { error: unknown; onCancel: () => void; children: ReactNode }) {
  return (
    <>
      {error ? <ErrorNote error={error} /> : null}
      <div className="row">
        <span className="spread" />
        <Button variant="default" onClick={onCancel}>
          {t("cancel")}
        </Button>
        {children}
      </div>
    </>
  );
}
