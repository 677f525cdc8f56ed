import { Tooltip } from "@mantine/core";
import type { Execution, ExecutionNode } from "../api/client";
import { t } from "../text/t";
import { Bdi } from "./Bdi";
import { Icon } from "./icons";
import { useNow } from "./parts";
import { isFinal } from "./Status";
import { duration, full, hubNow, inZone } from "./time";

export type WaitingFor = NonNullable<Execution["waitingFor"]>;

// waitOf is what a node waits for: what its whole execution does, or its turn in it.
export function waitOf(e: Execution, row: ExecutionNode): WaitingFor | undefined {
  if (row.status !== "queued" || isFinal(e.status) || e.outcome) return undefined;
  if (e.waitingFor) return e.waitingFor;
  const message = t("waiting.turn", { n: e.threadcount ?? 1 });
  return { kind: "queue", since: e.startedAt ?? e.createdAt, message };
}

// Wait says for what, and for how long.
export function Wait({ wait }: { wait: WaitingFor }) {
  return (
    <span className="wait">
      <Icon name="hourglass" size={12} />
      <span>
        <Bdi>{inZone(wait.message, hubNow())}</Bdi> <Since wait={wait} />
      </span>
    </span>
  );
}

export function Since({ wait }: { wait: WaitingFor }) {
  const since = Date.parse(wait.since);
  const seconds = Math.max(0, Math.floor((useNow() - since) / 1000));
  return (
    <Tooltip label={full(since)}>
      <time dateTime={wait.since} className="muted" style={{ whiteSpace: "nowrap" }}>
        {t("waiting.for", { time: seconds < 1 ? "0 s" : duration(seconds * 1000) })}
      </time>
    </Tooltip>
  );
}
