import { Button } from "@mantine/core";
import { useState } from "react";
import { useNodes } from "../api/queries";
import { Bdi } from "../base/Bdi";
import { ErrorNote } from "../base/parts";
import { shown } from "../base/shown";
import { t } from "../text/t";

// NodePreview shows which nodes a filter takes, before anything runs on them.
export function NodePreview({ project, filter, exclude = "" }: { project: string; filter: string; exclude?: string }) {
  const [limit, setLimit] = useState(60);
  const query = useNodes(project, filter, exclude, limit);
  if (query.error) return <ErrorNote error={query.error} />;
  const page = query.data?.pages[0];
  if (!page) return <div className="preview muted">{t("loading")}</div>;
  return (
    <div className="preview" style={query.isPlaceholderData ? { opacity: 0.6 } : undefined}>
      <strong role="status">{t("nodes.match", { n: page.total })}</strong>
      <div className="preview-names">
        {page.items.map((node) => (
          <Bdi className="chip" key={node.name} title={shown(node.hostname)}>
            {node.name}
          </Bdi>
        ))}
        {page.total > page.items.length ? (
          <Button size="compact-xs" variant="subtle" onClick={() => setLimit(1000)} disabled={limit === 1000}>
            {t("nodes.others", { n: page.total - page.items.length })}
          </Button>
        ) : null}
      </div>
    </div>
  );
}
