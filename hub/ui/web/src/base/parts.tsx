// Small parts that every page uses.

import { Button, CopyButton, Loader, Tooltip, UnstyledButton } from "@mantine/core";
import { Link, useLocation } from "@tanstack/react-router";
import { type ReactNode, useEffect, useRef, useSyncExternalStore } from "react";
import { errorOf } from "../api/client";
import { t } from "../text/t";
import { arrive } from "./arrival";
import { Bdi } from "./Bdi";
import { Icon, type IconName } from "./icons";
import { shown } from "./shown";
import { ago, duration, full, hubNow, local, tick, watchTick } from "./time";

// useNow returns the hub's time and repaints each second while moving.
export function useNow(moving = true): number {
  useSyncExternalStore(moving ? watchTick : idle, tick.get);
  return hubNow();
}

const idle = () => () => {};

// Ago tells an instant relative to now; the tooltip has it whole, with UTC. It is painted
// when its words change alone: a list has a thousand, and most are hours old.
export function Ago({ at }: { at: string | undefined }) {
  const ms = at ? Date.parse(at) : 0;
  const words = useSyncExternalStore(at ? watchTick : idle, () => (at ? ago(ms, hubNow()) : ""));
  if (!at) return <span className="muted">–</span>;
  return (
    <Tooltip label={full(ms)}>
      <time dateTime={at}>{words}</time>
    </Tooltip>
  );
}

// When tells an instant absolute, with the relative one beside it.
export function When({ at }: { at: string | undefined }) {
  const now = useNow();
  if (!at) return <span className="muted">–</span>;
  const ms = Date.parse(at);
  return (
    <Tooltip label={full(ms)}>
      <time dateTime={at}>
        {local(ms, now)} <span className="muted">({ago(ms, now)})</span>
      </time>
    </Tooltip>
  );
}

// Elapsed counts from start to end, or on by the hub's clock.
export function Elapsed({ from, to }: { from: string | undefined; to: string | undefined }) {
  const now = useNow(from !== undefined && to === undefined);
  if (!from) return <span className="muted">–</span>;
  const ms = (to ? Date.parse(to) : now) - Date.parse(from);
  return <span>{to || ms >= 1000 ? duration(to ? ms : Math.floor(ms / 1000) * 1000) : "0 s"}</span>;
}

export function Page({
  title,
  actions,
  above,
  children,
}: {
  title: string;
  actions?: ReactNode;
  above?: ReactNode;
  children: ReactNode;
}) {
  useTitle(title);
  return (
    <div className="page">
      <div className="page-head">
        <div className="page-title">
          {above}
          <PageTitle>
            <Bdi>{title}</Bdi>
          </PageTitle>
        </div>
        {actions ? <div className="row wrap">{actions}</div> : null}
      </div>
      {children}
    </div>
  );
}

// PageTitle is the one heading of a page. The focus starts at it, so that a screen
// reader tells which page this is and the Tab key goes on from its top.
export function PageTitle({ children }: { children: ReactNode }) {
  const title = useRef<HTMLHeadingElement>(null);
  const { pathname } = useLocation();
  useEffect(() => {
    if (title.current) arrive(pathname, title.current);
  }, [pathname]);
  return (
    <h1 tabIndex={-1} id="page-title" ref={title}>
      {children}
    </h1>
  );
}

export function useTitle(title: string): void {
  useEffect(() => {
    document.title = title ? `${shown(title)} · Fairlead` : "Fairlead";
  }, [title]);
}

export function Panel({
  title,
  aside,
  children,
  flush,
}: {
  title?: ReactNode;
  aside?: ReactNode;
  children: ReactNode;
  flush?: boolean;
}) {
  return (
    <section className="panel">
      {title ? (
        <header>
          <h2 className="clip">{title}</h2>
          <span className="spread" />
          {aside}
        </header>
      ) : null}
      {flush ? children : <div className="panel-body">{children}</div>}
    </section>
  );
}

export function Note({
  kind = "info",
  icon,
  children,
}: {
  kind?: "info" | "bad" | "warn" | "good" | "doubt";
  icon?: IconName;
  children: ReactNode;
}) {
  const chosen: IconName = icon ?? (kind === "good" ? "check" : kind === "info" ? "info" : "warn");
  return (
    <div className={`note ${kind}`}>
      <Icon name={chosen} />
      <div className="spread">{children}</div>
    </div>
  );
}

// Overtaken tells that somebody changed meanwhile what is being edited. What is typed stays
// until whoever typed it wants the newer state.
export function Overtaken({ text, onReload }: { text: string; onReload: () => void }) {
  return (
    <Note kind="warn">
      <div>{text}</div>
      <Button size="compact-xs" variant="default" mt={6} onClick={onReload}>
        {t("overtaken.reload")}
      </Button>
    </Note>
  );
}

// ErrorNote says what happened and lists everything wrong at once.
export function ErrorNote({ error, onRetry }: { error: unknown; onRetry?: () => void }) {
  const e = errorOf(error);
  return (
    <div role="alert">
      <Note kind="bad">
        <div style={{ whiteSpace: "pre-line" }}>
          <Bdi>{e.message}</Bdi>
        </div>
        {e.fields.length > 0 ? (
          <ul className="problems">
            {e.fields.map((f) => (
              <li key={`${f.path} ${f.message}`}>
                {f.path ? <code className="mono">{f.path}</code> : null} <Bdi>{f.message}</Bdi>
              </li>
            ))}
          </ul>
        ) : null}
        {onRetry ? (
          <Button size="compact-xs" variant="default" mt={6} onClick={onRetry}>
            {t("again")}
          </Button>
        ) : null}
      </Note>
    </div>
  );
}

export function Loading() {
  return (
    <div className="loading" role="status">
      <Loader size="sm" type="dots" />
      <span className="visually-hidden">{t("loading")}</span>
    </div>
  );
}

export function Empty({ icon, title, children }: { icon?: IconName; title: string; children?: ReactNode }) {
  return (
    <div className="empty">
      {icon ? <Icon name={icon} size={22} /> : null}
      <strong>{title}</strong>
      {children ? <div className="muted">{children}</div> : null}
    </div>
  );
}

// Answer renders a query: its data, or its error, or that it is on its way. Old data
// stays while a repeat fails; the note above says so.
export function Answer<T>({
  query,
  children,
}: {
  query: { data: T | undefined; error: unknown; isPending: boolean; refetch: () => unknown };
  children: (data: T) => ReactNode;
}) {
  if (query.data !== undefined)
    return (
      <>
        {query.error ? <ErrorNote error={query.error} onRetry={() => void query.refetch()} /> : null}
        {children(query.data)}
      </>
    );
  if (query.error) return <ErrorNote error={query.error} onRetry={() => void query.refetch()} />;
  return <Loading />;
}

// Table is a list with a head. A column may have a class, as its cells do: "wide-only" is
// not there in narrow windows.
export function Table({
  head,
  children,
}: {
  head: (string | [text: string, className: string])[];
  children: ReactNode;
}) {
  return (
    <div className="scroll-x">
      <table className="list">
        <thead>
          <tr>
            {head.map((column) => {
              const [text, className] = typeof column === "string" ? [column] : column;
              return (
                <th key={text} className={className}>
                  {text}
                </th>
              );
            })}
          </tr>
        </thead>
        <tbody>{children}</tbody>
      </table>
    </div>
  );
}

// More reads the next page of a list, where there is one.
export function More({
  query,
}: {
  query: { hasNextPage: boolean; isFetchingNextPage: boolean; fetchNextPage: () => unknown };
}) {
  if (!query.hasNextPage) return null;
  return (
    <Button
      variant="subtle"
      size="compact-sm"
      m={8}
      loading={query.isFetchingNextPage}
      onClick={() => void query.fetchNextPage()}
    >
      {t("more")}
    </Button>
  );
}

export function Copy({ text, label }: { text: string; label?: string }) {
  return (
    <CopyButton value={text} timeout={1600}>
      {({ copied, copy }) => (
        <Button
          size="compact-xs"
          variant="default"
          onClick={() => copyText(text, copy)}
          leftSection={<Icon name={copied ? "check" : "copy"} size={13} />}
        >
          {copied ? t("copied") : (label ?? t("copy"))}
        </Button>
      )}
    </CopyButton>
  );
}

// copyText also works on plain HTTP, where browsers hide the clipboard.
export function copyText(text: string, copied: () => void): void {
  if (navigator.clipboard) {
    copied();
    return;
  }
  const area = document.createElement("textarea");
  area.value = text;
  area.style.position = "fixed";
  area.style.opacity = "0";
  // A dialog keeps the focus inside itself, so the helper must be in there too.
  const home = document.activeElement?.closest("[role=dialog]") ?? document.body;
  home.append(area);
  area.select();
  document.execCommand("copy");
  area.remove();
  copied();
}

export function Tags({ tags }: { tags: string[] }) {
  if (tags.length === 0) return <span className="muted">–</span>;
  return (
    <span className="row wrap" style={{ gap: 4 }}>
      {tags.map((tag) => (
        <Bdi className="chip" key={tag}>
          {tag}
        </Bdi>
      ))}
    </span>
  );
}

export function Back({ to, label }: { to: string; label: string }) {
  return (
    <Link to={to} className="back">
      {label}
    </Link>
  );
}

export function FilterChip({
  on,
  onClick,
  children,
  label,
}: {
  on: boolean;
  onClick: () => void;
  children: ReactNode;
  label?: string;
}) {
  return (
    <UnstyledButton className={on ? "filter on" : "filter"} aria-pressed={on} onClick={onClick} aria-label={label}>
      {children}
    </UnstyledButton>
  );
}
