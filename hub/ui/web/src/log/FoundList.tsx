import { ActionIcon, Button } from "@mantine/core";
import { useEffect, useRef } from "react";
import { Bdi } from "../base/Bdi";
import { Icon } from "../base/icons";
import { ErrorNote } from "../base/parts";
import { Polite } from "../base/polite";
import { useStore } from "../base/store";
import { t } from "../text/t";
import { visible } from "./ansi";
import type { Found, LogSearch } from "./found";

// FoundList shows what a search of the whole log found; a line of it leads there.
export function FoundList({
  search,
  at,
  onOpen,
  onClose,
}: {
  search: LogSearch;
  // at is the position in front of the line that is shown.
  at: string | undefined;
  onOpen: (before: string) => void;
  onClose: () => void;
}) {
  const found = useStore(search.found);
  const current = useRef<HTMLButtonElement>(null);
  // biome-ignore lint/correctness/useExhaustiveDependencies: each new line is scrolled to once
  useEffect(() => {
    // Newer browsers answer with a promise, and React would call it as what ends the effect.
    void current.current?.scrollIntoView({ block: "nearest" });
  }, [at]);
  if (found.words === "") return null;
  return (
    <section className="log-found" aria-label={t("log.foundLabel")}>
      <div className="log-found-head">
        <span>{countWords(found)}</span>
        <Polite text={found.busy ? "" : countWords(found)} />
        <span className="spread" />
        {found.next && !found.busy ? (
          <Button size="compact-xs" variant="default" onClick={() => void search.more()}>
            {t("log.searchMore")}
          </Button>
        ) : null}
        <ActionIcon variant="subtle" color="gray" size="sm" aria-label={t("log.closeSearch")} onClick={onClose}>
          <Icon name="close" size={13} />
        </ActionIcon>
      </div>
      {found.error ? <ErrorNote error={found.error} /> : null}
      <ul>
        {found.items.map((m) => (
          <li key={m.cursor}>
            <button
              type="button"
              ref={m.before === at ? current : undefined}
              className={m.before === at ? "now" : undefined}
              aria-current={m.before === at}
              onClick={() => onOpen(m.before)}
            >
              <Bdi className="log-found-place">
                {m.node}:{m.line + 1}
              </Bdi>
              <span dir="auto">
                {m.parts.map((part, i) => (
                  // biome-ignore lint/suspicious/noArrayIndexKey: pieces of a line have no other name
                  <Part key={i} text={part.text} match={part.match ?? false} />
                ))}
              </span>
            </button>
          </li>
        ))}
      </ul>
    </section>
  );
}

function Part({ text, match }: { text: string; match: boolean }) {
  const shown = visible(text).map((s, i) => (
    // biome-ignore lint/suspicious/noArrayIndexKey: pieces of a line have no other name
    <span key={i} className={s.mark ? "log-mark" : undefined}>
      {s.text}
    </span>
  ));
  return match ? <mark>{shown}</mark> : shown;
}

function countWords(found: Found): string {
  const n = found.items.length;
  if (found.busy || found.next) return t("log.foundSoFar", { n, percent: Math.floor(found.part * 100) });
  // What failed has looked through nothing, and says so itself.
  if (found.error) return "";
  return n === 0 ? t("log.foundNone") : t("log.found", { n });
}
