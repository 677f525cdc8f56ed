import { Button, Progress } from "@mantine/core";
import { useState } from "react";
import type { PurgeRun, Quota } from "../api/client";
import { Bdi } from "../base/Bdi";
import { Note, Panel, When } from "../base/parts";
import { sizeText } from "../base/size";
import { t } from "../text/t";
import { QuotaDialog } from "./Quota";

// Retention tells what the last pass took away, and how much log is held of how much may
// be, which administrators change.
export function Retention({ run, quota, admin }: { run: PurgeRun; quota: Quota; admin: boolean }) {
  const [changing, setChanging] = useState(false);
  return (
    <Panel
      title={t("held.title")}
      aside={
        admin ? (
          <Button size="compact-sm" variant="default" onClick={() => setChanging(true)}>
            {t("quota.button")}
          </Button>
        ) : null
      }
    >
      <div className="stack">
        {quota.over ? <Note kind="bad">{t("held.over")}</Note> : null}
        {quota.near && !quota.over ? <Note kind="warn">{t("held.near")}</Note> : null}
        <dl className="facts">
          <dt>{t("held.logs")}</dt>
          <dd>
            <Held quota={quota} />
          </dd>
          <dt>{t("held.execution")}</dt>
          <dd>{quota.executionLogBytes > 0 ? sizeText(quota.executionLogBytes) : t("held.noLimit")}</dd>
          <dt>{t("held.pass")}</dt>
          <dd>
            {run.endedAt ? (
              <>
                {run.executions > 0
                  ? t("held.taken", { n: run.executions, size: sizeText(run.bytes) })
                  : t("held.nothing")}{" "}
                <span className="muted">
                  <When at={run.endedAt} />
                </span>
              </>
            ) : (
              t("held.noPass")
            )}
          </dd>
          {run.deleting > 0 || run.lastError ? <Left run={run} /> : null}
        </dl>
      </div>
      <QuotaDialog quota={quota} opened={changing} onClose={() => setChanging(false)} />
    </Panel>
  );
}

function Held({ quota }: { quota: Quota }) {
  if (!quota.countedAt) return <>{t("held.notCounted")}</>;
  const part = quota.logBytes > 0 ? quota.usedBytes / quota.logBytes : 0;
  return (
    <>
      {quota.logBytes > 0
        ? t("held.of", {
            used: sizeText(quota.usedBytes),
            limit: sizeText(quota.logBytes),
            percent: Math.floor(part * 100),
          })
        : t("held.free", { used: sizeText(quota.usedBytes) })}{" "}
      <span className="muted">
        <When at={quota.countedAt} />
      </span>
      {quota.logBytes > 0 ? (
        <Progress
          value={Math.min(100, part * 100)}
          color={quota.over ? "red" : quota.near ? "yellow" : undefined}
          size="sm"
          mt={4}
          maw={360}
          aria-label={t("held.logs")}
        />
      ) : null}
    </>
  );
}

// Left tells what is not deleted yet, and what went wrong.
function Left({ run }: { run: PurgeRun }) {
  return (
    <>
      <dt>{t(run.lastError ? "held.trouble" : "held.left")}</dt>
      <dd>
        {run.deleting > 0 ? (
          <span className={run.lastError ? "status st-failed" : undefined}>
            {t(run.lastError ? "held.failed" : "held.deleting", { n: run.deleting })}
          </span>
        ) : null}
        {run.lastError ? (
          <>
            <div className="mono">
              <Bdi>{run.lastError}</Bdi>
            </div>
            <div className="muted">{t("held.failedHint")}</div>
          </>
        ) : null}
      </dd>
    </>
  );
}
