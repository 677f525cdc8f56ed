import { Button, Modal, Textarea, TextInput } from "@mantine/core";
import { useMutation, useQueryClient } from "@tanstack/react-query";
import { Link, useNavigate } from "@tanstack/react-router";
import { type FormEvent, useState } from "react";
import { api, must } from "../api/client";
import { keys, useMe, useProjects } from "../api/queries";
import { useRequestKey } from "../api/request";
import { Bdi } from "../base/Bdi";
import { Icon } from "../base/icons";
import { Ago, Answer, Empty, ErrorNote, Page, Panel } from "../base/parts";
import { t } from "../text/t";

export function Projects() {
  const query = useProjects();
  const me = useMe();
  const [making, setMaking] = useState(false);
  return (
    <Page
      title={t("nav.projects")}
      actions={
        me.data?.admin ? (
          <Button onClick={() => setMaking(true)} leftSection={<Icon name="plus" size={14} />}>
            {t("projects.new")}
          </Button>
        ) : null
      }
    >
      <Panel flush>
        <Answer query={query}>
          {(data) =>
            data.items.length === 0 ? (
              <Empty title={t("projects.none")}>{t("projects.noneHint")}</Empty>
            ) : (
              <table className="list">
                <tbody>
                  {data.items.map((p) => (
                    <tr key={p.id}>
                      <td className="grow">
                        <div className="project-row">
                          <Link to="/projects/$project/jobs" params={{ project: p.name }}>
                            <Bdi>{p.name}</Bdi>
                          </Link>
                          <Bdi className="muted clip">{p.description}</Bdi>
                        </div>
                      </td>
                      <td className="shrink muted wide-only">
                        <Ago at={p.updatedAt} />
                      </td>
                    </tr>
                  ))}
                </tbody>
              </table>
            )
          }
        </Answer>
      </Panel>
      <Modal opened={making} onClose={() => setMaking(false)} title={t("projects.new")}>
        {making ? <NewProject /> : null}
      </Modal>
    </Page>
  );
}

function NewProject() {
  const client = useQueryClient();
  const navigate = useNavigate();
  const [name, setName] = useState("");
  const [description, setDescription] = useState("");
  const { key, renew } = useRequestKey();
  const create = useMutation({
    mutationFn: () =>
      must(
        api.POST("/api/v1/projects", {
          params: { header: { "Idempotency-Key": key } },
          body: { name: name.trim(), ...(description ? { description } : {}) },
        }),
      ),
    onSuccess: (project) => {
      void client.invalidateQueries({ queryKey: keys.projects });
      void navigate({ to: "/projects/$project/jobs", params: { project: project.name } });
    },
    onError: renew,
  });
  const submit = (event: FormEvent) => {
    event.preventDefault();
    create.mutate();
  };
  return (
    <form className="stack" onSubmit={submit}>
      <TextInput
        label={t("projects.name")}
        description={t("projects.nameHint")}
        value={name}
        onChange={(e) => setName(e.currentTarget.value)}
        required
        withAsterisk={false}
        data-autofocus
        spellCheck={false}
      />
      <Textarea
        label={t("nodes.about")}
        value={description}
        onChange={(e) => setDescription(e.currentTarget.value)}
        rows={3}
      />
      {create.error ? <ErrorNote error={create.error} /> : null}
      <div className="row">
        <span className="spread" />
        <Button type="submit" loading={create.isPending}>
          {t("projects.create")}
        </Button>
      </div>
    </form>
  );
}
