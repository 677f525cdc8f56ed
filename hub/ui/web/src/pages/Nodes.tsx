import { Bdi } from "../base/Bdi";
import "./jobs.css";
import { Button, TextInput } from "@mantine/core";
import { useDebouncedValue } from "@mantine/hooks";
import { notifications } from "@mantine/notifications";
import { useMutation, useQueryClient } from "@tanstack/react-query";
import { Link, useNavigate, useParams, useSearch } from "@tanstack/react-router";
import { useMemo, useState } from "react";
import { api, errorOf, must } from "../api/client";
import { keys, useHostKeys, useMe, useNode, useNodes } from "../api/queries";
import { Icon } from "../base/icons";
import { Answer, Back, Copy, Empty, More, Note, Page, Panel, Table, Tags, When } from "../base/parts";
import { t } from "../text/t";
import { ImportDialog } from "./ImportDialog";
import { named } from "./named";

export function Nodes() {
  const { project } = useParams({ strict: false }) as { project: string };
  const search = useSearch({ strict: false }) as { filter?: string; import?: string };
  const navigate = useNavigate();
  const me = useMe();
  const client = useQueryClient();
  const filter = search.filter ?? "";
  const [settled] = useDebouncedValue(filter, 250);
  const query = useNodes(project, settled, "", 200);
  const nodes = useMemo(() => query.data?.pages.flatMap((page) => page.items), [query.data]);
  const all = query.data?.pages[0]?.total ?? 0;
  // An import takes the place of what was there when its dialog was opened: the list is read
  // on meanwhile, and what somebody else brings in would be undone without a word.
  const importing = search.import !== undefined;
  const revision = query.data?.pages[0]?.revision;
  const [base, setBase] = useState<number>();
  if (!importing && base !== undefined) setBase(undefined);
  if (importing && base === undefined && revision !== undefined) setBase(revision);
  const set = (change: { filter?: string | undefined; import?: string | undefined }) =>
    void navigate({
      to: "/projects/$project/nodes",
      params: { project },
      search: { ...search, ...change } as never,
      replace: true,
    });
  return (
    <Page
      title={t("nav.nodes")}
      actions={
        <>
          <Button
            component={Link}
            to={`/projects/${project}/command${filter ? `?filter=${encodeURIComponent(filter)}` : ""}`}
            variant="default"
            leftSection={<Icon name="command" size={14} />}
          >
            {t("nodes.runHere")}
          </Button>
          {me.data?.admin ? (
            <Button onClick={() => set({ import: "1" })} leftSection={<Icon name="plus" size={14} />}>
              {t("nodes.import")}
            </Button>
          ) : null}
        </>
      }
    >
      <TextInput
        value={filter}
        onChange={(e) => set({ filter: e.currentTarget.value || undefined })}
        placeholder={t("nodes.filterExample")}
        aria-label={t("job.filter")}
        leftSection={<Icon name="filter" size={14} />}
        classNames={{ input: "mono" }}
        spellCheck={false}
        autoCapitalize="off"
        autoCorrect="off"
      />
      <Panel title={query.data ? t("nodes.match", { n: all }) : t("nav.nodes")} flush>
        <Answer query={{ ...query, data: nodes }}>
          {(items) =>
            items.length === 0 ? (
              <Empty icon="nodes" title={filter ? t("nodes.noneMatch") : t("nodes.none")}>
                {filter ? null : t("nodes.noneHint")}
              </Empty>
            ) : (
              <Table
                head={[
                  t("nodes.name"),
                  t("nodes.host"),
                  [t("nodes.user"), "wide-only"],
                  t("nodes.tags"),
                  [t("nodes.about"), "wide-only"],
                ]}
              >
                {items.map((node) => (
                  <tr key={node.name}>
                    <td>
                      <Link to="/projects/$project/nodes/$node" params={{ project, node: node.name }}>
                        <Bdi>{node.name}</Bdi>
                      </Link>
                    </td>
                    <td className="mono">
                      <Bdi>{node.hostname}</Bdi>
                    </td>
                    <td className="wide-only mono">
                      <Bdi>{node.username}</Bdi>
                    </td>
                    <td>
                      <Tags tags={node.tags} />
                    </td>
                    <td className="wide-only muted">
                      <Bdi>{node.description}</Bdi>
                    </td>
                  </tr>
                ))}
              </Table>
            )
          }
        </Answer>
        <More query={query} />
      </Panel>
      <ImportDialog
        title={t("nodes.importTitle", { project })}
        hint={t("nodes.importHint")}
        opened={importing}
        onClose={() => set({ import: undefined })}
        formats={[
          { value: "application/yaml", label: "YAML" },
          { value: "application/json", label: "JSON" },
          { value: "application/xml", label: "XML" },
        ]}
        guess={guessFormat}
        send={(text, format) =>
          must(
            api.PUT("/api/v1/projects/{project}/nodes", {
              params: { path: { project }, header: { "If-Match": `"${base ?? 0}"` } },
              body: text,
              bodySerializer: (body) => body as string,
              headers: { "Content-Type": format },
            }),
          ).finally(async () => {
            await client.invalidateQueries({ queryKey: keys.nodes(project) });
            // Who was told of another change and imports again means it.
            setBase(undefined);
          })
        }
        report={(result) => (
          <>
            {t("nodes.imported", { n: result.nodes, added: result.added, removed: result.removed })}
            <ul className="problems">
              {result.warnings.map((w) => (
                <li key={`${w.path} ${w.message}`}>
                  <code className="mono">{w.path}</code> <Bdi>{w.message}</Bdi>
                </li>
              ))}
            </ul>
          </>
        )}
      />
    </Page>
  );
}

export function guessFormat(name: string, text: string): string {
  if (/\.json$/i.test(name)) return "application/json";
  if (/\.xml$/i.test(name)) return "application/xml";
  if (/\.ya?ml$/i.test(name)) return "application/yaml";
  const first = text.trimStart()[0];
  if (first === "{" || first === "[") return "application/json";
  return first === "<" ? "application/xml" : "application/yaml";
}

export function NodePage() {
  const { project, node: name } = useParams({ strict: false }) as { project: string; node: string };
  const me = useMe();
  const client = useQueryClient();
  const node = useNode(project, name);
  const hostKeys = useHostKeys(project, name);
  const onError = (cause: unknown) =>
    notifications.show({ color: "red", title: t("node.keyFailed"), message: errorOf(cause).message });
  const params = { params: { path: { project, node: name } } };
  const hostKeysKey = [...keys.nodes(project), "hostkeys", name];
  const forget = useMutation({
    mutationFn: () => must(api.DELETE("/api/v1/projects/{project}/nodes/{node}/hostkeys", params)),
    onSuccess: () => void client.invalidateQueries({ queryKey: hostKeysKey }),
    onError,
  });
  const accept = useMutation({
    mutationFn: (key: string) =>
      must(api.POST("/api/v1/projects/{project}/nodes/{node}/hostkeys", { ...params, body: { key } })),
    onSuccess: (list) => client.setQueryData(hostKeysKey, list),
    onError,
  });
  return (
    <Page
      title={name}
      above={<Back to={`/projects/${project}/nodes`} label={t("nav.nodes")} />}
      actions={
        <Button
          component={Link}
          to={`/projects/${project}/command?filter=${encodeURIComponent(named(name))}`}
          variant="default"
          leftSection={<Icon name="command" size={14} />}
        >
          {t("nodes.runHere")}
        </Button>
      }
    >
      <Answer query={node}>
        {(data) => (
          <div className="columns even">
            <Panel title={t("node.facts")}>
              <dl className="facts">
                <dt>{t("nodes.host")}</dt>
                <dd className="mono">
                  <Bdi>{data.hostname}</Bdi>
                </dd>
                <dt>{t("nodes.user")}</dt>
                <dd className="mono">
                  <Bdi>{data.username || "–"}</Bdi>
                </dd>
                <dt>{t("nodes.tags")}</dt>
                <dd>
                  <Tags tags={data.tags} />
                </dd>
                {data.description ? (
                  <>
                    <dt>{t("nodes.about")}</dt>
                    <dd>
                      <Bdi>{data.description}</Bdi>
                    </dd>
                  </>
                ) : null}
                {Object.entries(data.attributes).map(([key, value]) => (
                  <Attribute key={key} name={key} value={value} />
                ))}
              </dl>
            </Panel>
            <Panel title={t("node.hostKeys")}>
              <Answer query={hostKeys}>
                {(list) => (
                  <div className="stack">
                    {list.items.some((k) => k.state === "conflict") ? (
                      <Note kind="bad">{t("node.conflictNote")}</Note>
                    ) : null}
                    {list.items.length === 0 ? <span className="muted">{t("node.noKeys")}</span> : null}
                    {list.items.map((k) => (
                      <div key={k.fingerprint} className="preview">
                        <div className="row wrap">
                          <span className="chip">{k.type}</span>
                          <span className={`status ${k.state === "conflict" ? "st-failed" : "st-succeeded"}`}>
                            {t(`node.${k.state}`)}
                          </span>
                          <span className="mono" style={{ overflowWrap: "anywhere" }}>
                            {k.fingerprint}
                          </span>
                        </div>
                        <div className="row wrap">
                          <span className="muted">
                            {t("node.seen")} <When at={k.seenAt} />
                          </span>
                          <span className="spread" />
                          <Copy text={k.key} />
                          {me.data?.admin && k.state === "conflict" ? (
                            <Button
                              size="compact-xs"
                              variant="default"
                              loading={accept.isPending}
                              onClick={() =>
                                window.confirm(t("node.acceptAsk", { fingerprint: k.fingerprint })) &&
                                accept.mutate(k.key)
                              }
                            >
                              {t("node.accept")}
                            </Button>
                          ) : null}
                        </div>
                      </div>
                    ))}
                    {me.data?.admin && list.items.length > 0 ? (
                      <div>
                        <Button
                          size="compact-sm"
                          variant="default"
                          color="red"
                          loading={forget.isPending}
                          onClick={() => window.confirm(t("node.forgetAsk")) && forget.mutate()}
                        >
                          {t("node.forget")}
                        </Button>
                      </div>
                    ) : null}
                  </div>
                )}
              </Answer>
            </Panel>
          </div>
        )}
      </Answer>
    </Page>
  );
}

function Attribute({ name, value }: { name: string; value: string }) {
  return (
    <>
      <dt className="mono">
        <Bdi>{name}</Bdi>
      </dt>
      <dd className="mono">
        <Bdi>{value}</Bdi>
      </dd>
    </>
  );
}
