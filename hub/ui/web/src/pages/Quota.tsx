import { Button, Modal, TextInput } from "@mantine/core";
import { notifications } from "@mantine/notifications";
import { useMutation, useQueryClient } from "@tanstack/react-query";
import { type FormEvent, useState } from "react";
import { api, type Cluster, errorOf, must, type Quota } from "../api/client";
import { keys } from "../api/queries";
import { ErrorNote, Overtaken } from "../base/parts";
import { sizeOf, sizeTyped } from "../base/size";
import { t } from "../text/t";

// QuotaDialog lets an administrator say how much log may be held and printed.
export function QuotaDialog({ quota, opened, onClose }: { quota: Quota; opened: boolean; onClose: () => void }) {
  return (
    <Modal opened={opened} onClose={onClose} title={t("quota.title")} size="lg">
      {opened ? <Opened now={quota} onDone={onClose} /> : null}
    </Modal>
  );
}

// Opened keeps what is typed when somebody changes the quota meanwhile; it is only told.
function Opened({ now, onDone }: { now: Quota; onDone: () => void }) {
  const [start, setStart] = useState(now);
  return (
    <div className="stack">
      {now.revision > start.revision ? <Overtaken text={t("quota.overtaken")} onReload={() => setStart(now)} /> : null}
      <Form key={start.revision} start={start} onDone={onDone} />
    </div>
  );
}

const names = ["logBytes", "executionLogBytes"] as const;
type Name = (typeof names)[number];
type Typed = Record<Name, string>;

const typedOf = (bytes: number) => (bytes > 0 ? sizeTyped(bytes) : "");

// bytesOf is a field as the hub takes it: nothing is no limit. Undefined where it is no size.
const bytesOf = (text: string) => (text.trim() === "" ? 0 : sizeOf(text));

function useSave(start: Quota, onDone: () => void) {
  const client = useQueryClient();
  return useMutation({
    mutationFn: (body: Record<Name, number>) =>
      must(api.PATCH("/api/v1/quota", { params: { header: { "If-Match": `"${start.revision}"` } }, body })),
    onSuccess: async (quota) => {
      // An answer on its way may be of before the change, and would take it back on the page.
      await client.cancelQueries({ queryKey: keys.cluster });
      client.setQueryData(keys.cluster, (now: Cluster | undefined) => now && { ...now, quota });
      notifications.show({ color: "teal", message: t("quota.saved") });
      onDone();
    },
    onSettled: () => void client.invalidateQueries({ queryKey: keys.cluster }),
  });
}

function Form({ start, onDone }: { start: Quota; onDone: () => void }) {
  const [typed, setTyped] = useState<Typed>(() => ({
    logBytes: typedOf(start.logBytes),
    executionLogBytes: typedOf(start.executionLogBytes),
  }));
  const [unread, setUnread] = useState<Name[]>([]);
  const save = useSave(start, onDone);
  const error = save.error ? errorOf(save.error) : undefined;
  const submit = (event: FormEvent) => {
    event.preventDefault();
    const logBytes = bytesOf(typed.logBytes);
    const executionLogBytes = bytesOf(typed.executionLogBytes);
    setUnread(names.filter((name) => bytesOf(typed[name]) === undefined));
    save.reset();
    if (logBytes !== undefined && executionLogBytes !== undefined) save.mutate({ logBytes, executionLogBytes });
  };
  return (
    <form className="stack" onSubmit={submit}>
      {names.map((name) => (
        <TextInput
          key={name}
          label={t(`quota.${name}`)}
          description={t(`quota.${name}Hint`)}
          placeholder={t("held.noLimit")}
          value={typed[name]}
          onChange={(e) => setTyped({ ...typed, [name]: e.currentTarget.value })}
          error={unread.includes(name) ? t("quota.noSize") : error?.field(name)}
          autoComplete="off"
          spellCheck={false}
          maw={420}
        />
      ))}
      <div className="muted">{t("quota.from")}</div>
      {error && names.every((name) => !error.field(name)) ? <ErrorNote error={error} /> : null}
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
