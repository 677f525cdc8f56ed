import { Button, FileButton, Modal, PasswordInput, SegmentedControl, Textarea, TextInput } from "@mantine/core";
import { notifications } from "@mantine/notifications";
import { useMutation, useQueryClient } from "@tanstack/react-query";
import { useNavigate, useSearch } from "@tanstack/react-router";
import { type FormEvent, useMemo, useState } from "react";
import { api, errorOf, type Key, must } from "../api/client";
import { keys, useKeys, useMe } from "../api/queries";
import { Bdi } from "../base/Bdi";
import { Icon } from "../base/icons";
import { Ago, Answer, Copy, Empty, ErrorNote, More, Page, Panel, Table } from "../base/parts";
import { useCurrentProject } from "../shell/Shell";
import { t } from "../text/t";

type KeyType = Key["type"];

// What the form begins with; revision is that of the key it replaces, 0 for a new one.
interface Setting {
  path: string;
  type: KeyType;
  revision: number;
}

// Keys lists what is stored by path. A value goes in and is never shown again.
export function Keys() {
  const search = useSearch({ strict: false }) as { prefix?: string };
  const navigate = useNavigate();
  const me = useMe();
  const client = useQueryClient();
  const query = useKeys(search.prefix ?? "");
  const held = useMemo(() => query.data?.pages.flatMap((page) => page.items), [query.data]);
  const [setting, setSetting] = useState<Setting | undefined>();
  const project = useCurrentProject();
  const remove = useMutation({
    mutationFn: ({ path, revision }: Key) =>
      must(api.DELETE("/api/v1/keys/{path}", { params: { path: { path }, header: { "If-Match": `"${revision}"` } } })),
    onSettled: () => void client.invalidateQueries({ queryKey: keys.keys }),
    onError: (cause) =>
      notifications.show({ color: "red", title: t("keys.deleteFailed"), message: errorOf(cause).message }),
  });
  const admin = me.data?.admin ?? false;
  return (
    <Page
      title={t("nav.keys")}
      actions={
        admin ? (
          <Button
            onClick={() =>
              setSetting({ path: project ? `keys/project/${project}/` : "keys/", type: "private-key", revision: 0 })
            }
            leftSection={<Icon name="plus" size={14} />}
          >
            {t("keys.set")}
          </Button>
        ) : null
      }
    >
      <TextInput
        value={search.prefix ?? ""}
        onChange={(e) =>
          void navigate({
            to: "/keys",
            search: (e.currentTarget.value ? { prefix: e.currentTarget.value } : {}) as never,
            replace: true,
          })
        }
        placeholder="keys/project/…"
        aria-label={t("keys.prefix")}
        leftSection={<Icon name="search" size={14} />}
        classNames={{ input: "mono" }}
        spellCheck={false}
      />
      <Panel flush>
        <Answer query={{ ...query, data: held }}>
          {(items) =>
            items.length === 0 ? (
              <Empty icon="keys" title={search.prefix ? t("keys.noneMatch") : t("keys.none")}>
                {t("keys.noneHint")}
              </Empty>
            ) : (
              <Table
                head={[
                  t("keys.path"),
                  t("keys.type"),
                  [t("keys.size"), "num wide-only"],
                  [t("keys.changed"), "wide-only"],
                  "",
                ]}
              >
                {items.map((key) => (
                  <tr key={key.path}>
                    <td className="mono" style={{ overflowWrap: "anywhere" }}>
                      <Bdi>{key.path}</Bdi>
                    </td>
                    <td style={{ whiteSpace: "nowrap" }}>{t(`keyType.${key.type}`)}</td>
                    <td className="num wide-only">{t("keys.bytes", { n: key.size })}</td>
                    <td className="wide-only muted">
                      <Ago at={key.updatedAt} /> <Bdi>{key.createdBy ?? ""}</Bdi>
                    </td>
                    <td className="shrink">
                      <span className="row">
                        <span className="wide-only">
                          <Copy text={key.path} label={t("keys.copyPath")} />
                        </span>
                        {admin ? (
                          <>
                            <Button size="compact-xs" variant="default" onClick={() => setSetting(key)}>
                              {t("keys.replace")}
                            </Button>
                            <Button
                              size="compact-xs"
                              variant="default"
                              color="red"
                              aria-label={t("keys.delete", { path: key.path })}
                              onClick={() =>
                                window.confirm(t("keys.deleteAsk", { path: key.path })) && remove.mutate(key)
                              }
                            >
                              <Icon name="trash" size={13} />
                            </Button>
                          </>
                        ) : null}
                      </span>
                    </td>
                  </tr>
                ))}
              </Table>
            )
          }
        </Answer>
        <More query={query} />
      </Panel>
      <Modal
        opened={setting !== undefined}
        onClose={() => setSetting(undefined)}
        title={setting?.revision ? t("keys.replaceTitle") : t("keys.set")}
        size="lg"
      >
        {setting ? <SetKey start={setting} onDone={() => setSetting(undefined)} /> : null}
      </Modal>
    </Page>
  );
}

function SetKey({ start, onDone }: { start: Setting; onDone: () => void }) {
  const known = start.revision > 0;
  const client = useQueryClient();
  const [path, setPath] = useState(start.path);
  const [type, setType] = useState<KeyType>(start.type);
  const [value, setValue] = useState("");
  const save = useMutation({
    mutationFn: () =>
      must(
        api.PUT("/api/v1/keys/{path}", {
          params: {
            path: { path: path.trim() },
            query: { type },
            header: known ? { "If-Match": `"${start.revision}"` } : {},
          },
          body: value,
          bodySerializer: (body) => body as string,
          headers: { "Content-Type": "application/octet-stream" },
        }),
      ),
    onSuccess: () => {
      void client.invalidateQueries({ queryKey: keys.keys });
      onDone();
    },
  });
  const submit = (event: FormEvent) => {
    event.preventDefault();
    save.mutate();
  };
  return (
    <form className="stack" onSubmit={submit}>
      <TextInput
        label={t("keys.path")}
        value={path}
        readOnly={known}
        onChange={(e) => setPath(e.currentTarget.value)}
        classNames={{ input: "mono" }}
        required
        withAsterisk={false}
        spellCheck={false}
        description={known ? undefined : t("keys.pathHint")}
      />
      <div>
        <SegmentedControl
          size="xs"
          value={type}
          onChange={(v) => setType(v as KeyType)}
          aria-label={t("keys.type")}
          data={(["private-key", "public-key", "password"] as const).map((v) => ({
            value: v,
            label: t(`keyType.${v}`),
          }))}
        />
      </div>
      {type === "password" ? (
        <PasswordInput
          label={t("keys.value")}
          value={value}
          onChange={(e) => setValue(e.currentTarget.value)}
          autoComplete="new-password"
          required
          withAsterisk={false}
        />
      ) : (
        <>
          <Textarea
            label={t("keys.value")}
            value={value}
            onChange={(e) => setValue(e.currentTarget.value)}
            rows={9}
            classNames={{ input: "mono" }}
            spellCheck={false}
            autoComplete="off"
            required
            withAsterisk={false}
            placeholder={type === "private-key" ? "-----BEGIN OPENSSH PRIVATE KEY-----" : "ssh-ed25519 AAAA…"}
          />
          <div>
            <FileButton onChange={(file) => void file?.text().then(setValue)}>
              {(props) => (
                <Button {...props} size="compact-sm" variant="default">
                  {t("import.choose")}
                </Button>
              )}
            </FileButton>
          </div>
        </>
      )}
      {save.error ? <ErrorNote error={save.error} /> : null}
      <span className="muted" style={{ fontSize: "0.8rem" }}>
        {t("keys.never")}
      </span>
      <div className="row">
        <span className="spread" />
        <Button variant="default" onClick={onDone}>
          {t("cancel")}
        </Button>
        <Button type="submit" loading={save.isPending} disabled={value === ""}>
          {t("keys.store")}
        </Button>
      </div>
    </form>
  );
}
