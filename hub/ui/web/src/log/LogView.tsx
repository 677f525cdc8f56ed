import { Bdi } from "../base/Bdi";
import "./log.css";
import { ActionIcon, Button, Menu, TextInput, Tooltip } from "@mantine/core";
import { useVirtualizer } from "@tanstack/react-virtual";
import {
  type CSSProperties,
  type KeyboardEvent,
  memo,
  type ReactNode,
  useCallback,
  useEffect,
  useLayoutEffect,
  useMemo,
  useRef,
  useState,
} from "react";
import { errorOf } from "../api/client";
import { given } from "../api/queries";
import { Icon, type IconName } from "../base/icons";
import { recall, remember } from "../base/local";
import { ErrorNote, Loading, useNow } from "../base/parts";
import { Polite, useRarely } from "../base/polite";
import { useStore } from "../base/store";
import { duration, full, stamp } from "../base/time";
import { t } from "../text/t";
import { type Span, spans } from "./ansi";
import { find, followLimit, holds, type Row, readLimit } from "./buffer";
import { FoundList } from "./FoundList";
import { LogSearch } from "./found";
import type { LogSession, LogView as View } from "./session";

// LogView shows a window of a log: live while the execution runs, by pages after it.
// The log itself is no live region: a screen reader hears a count, now and then.
export function LogView({
  session,
  running,
  atEnd,
  showNode,
  target,
  onTarget,
  head,
  failed,
}: {
  session: LogSession;
  running: boolean;
  // atEnd: it is opened at its end.
  atEnd: boolean;
  // failed: a step has, so that there is a first one.
  failed: boolean;
  showNode: boolean;
  // target is the position in front of the line that the address points at.
  target: string | undefined;
  onTarget: (before: string | undefined) => void;
  head?: ReactNode;
}) {
  const view = useStore(session.view);
  const rows = session.buffer.rows;
  const scroller = useRef<HTMLDivElement>(null);
  const [wrap, setWrap] = useState(recall("log.wrap") !== "no");
  const [times, setTimes] = useState(recall("log.times") === "yes");
  const [pinned, setPinned] = useState(atEnd);
  const [words, setWords] = useState("");
  const [hit, setHit] = useState(0);
  const [regex, setRegex] = useState(false);
  const search = useMemo(() => new LogSearch(session.query), [session]);
  useEffect(() => () => search.close(), [search]);
  const found = useStore(search.found);
  const [notice, setNotice] = useState("");
  const box = useRef<HTMLInputElement>(null);
  // When the reader last touched what scrolls: only he ends following, not a row that
  // goes at the top.
  const touched = useRef(0);
  const dropped = useRef(session.buffer.dropped);
  const added = useRef(session.buffer.added);
  const [reading, setReading] = useState(false);

  const virtual = useVirtualizer({
    count: rows.length,
    getScrollElement: () => scroller.current,
    estimateSize: () => 20,
    overscan: 30,
    getItemKey: (i) => rows[i]?.key ?? i,
  });

  // biome-ignore lint/correctness/useExhaustiveDependencies: rows change in place, version says when
  const hits = useMemo(() => find(rows, words), [rows, words, view.version]);
  const hitSet = useMemo(() => new Set(hits), [hits]);
  const currentHit = hits[Math.min(hit, hits.length - 1)];

  // biome-ignore lint/correctness/useExhaustiveDependencies: each new version scrolls once
  useLayoutEffect(() => {
    if (pinned && rows.length > 0) virtual.scrollToIndex(rows.length - 1, { align: "end" });
  }, [pinned, view.version, rows.length]);

  const measured = useRef(virtual.measurementsCache);
  // What is read stays where it is when rows above it go or come.
  useLayoutEffect(() => {
    const gone = session.buffer.dropped - dropped.current;
    dropped.current = session.buffer.dropped;
    const height = gone > 0 ? (measured.current[gone]?.start ?? 0) : 0;
    if (height > 0 && !pinned) scroller.current?.scrollBy({ top: -height });
    const came = session.buffer.added - added.current;
    added.current = session.buffer.added;
    if (came > 0 && !pinned) scroller.current?.scrollBy({ top: virtual.measurementsCache[came]?.start ?? 0 });
    measured.current = virtual.measurementsCache;
  });

  const live = view.state === "following" || view.state === "reconnecting";
  useEffect(() => {
    session.buffer.limit = live && pinned ? followLimit : readLimit;
  }, [session, live, pinned]);

  // It has ended and the end is what is wanted: a flood is not watched to its last drop.
  useEffect(() => {
    if (running || !pinned || view.state !== "following") return;
    const timer = setTimeout(() => void session.openEnd(), 1500);
    return () => clearTimeout(timer);
  }, [session, running, pinned, view.state]);

  const onScroll = useCallback(() => {
    const el = scroller.current;
    if (!el) return;
    const left = el.scrollHeight - el.scrollTop - el.clientHeight;
    if (performance.now() - touched.current < 600) {
      // At the end of what is loaded alone each page would lead to the next.
      setPinned(left < 24 && !session.view.get().after);
      // A drag goes on; the end moves by itself.
      if (!pinned) touched.current = performance.now();
    }
    if (left < 1500) void session.more();
  }, [session, pinned]);
  const touch = () => {
    touched.current = performance.now();
  };

  // leave: it is not the reader who scrolls now. Where less is loaded than was, the scroller
  // comes to its end, and that is not where he wants to stay.
  const leave = () => {
    touched.current = 0;
    setPinned(false);
  };
  const goto = (index: number) => {
    leave();
    virtual.scrollToIndex(index, { align: "center" });
  };
  const step = (by: number) => {
    if (hits.length === 0) return;
    const next = (Math.min(hit, hits.length - 1) + by + hits.length) % hits.length;
    setHit(next);
    goto(hits[next] ?? 0);
  };
  const searchAll = () => {
    if (words !== "") void search.start(words, regex);
  };
  const closeSearch = () => {
    search.close();
    box.current?.focus();
  };
  // open shows what stands around a position, wherever in the log it is.
  const open = async (before: string) => {
    setNotice("");
    leave();
    onTarget(before);
    let index = rowAt(session, before);
    if (index < 0) {
      await session.openAround(before);
      if (running) session.follow();
      index = rowAt(session, before);
    }
    if (index >= 0) requestAnimationFrame(() => virtual.scrollToIndex(index, { align: "center" }));
  };
  const searched = found.words === words && search.regex === regex;
  // next goes along what the whole log's search found, else along what is loaded.
  const next = (by: number) => {
    const { items } = found;
    // Words that the whole log was not searched for are those of what is loaded.
    if (items.length === 0 || (words !== "" && !searched)) return step(by);
    const at = items.findIndex((m) => m.before === target);
    const to = at < 0 ? (by > 0 ? 0 : items.length - 1) : (at + by + items.length) % items.length;
    void open(items[to]?.before ?? "");
  };
  const toFailure = async () => {
    setNotice("");
    try {
      const before = await session.firstFailure();
      if (before === undefined) setNotice(t("log.failureNone"));
      else await open(before);
    } catch (cause) {
      setNotice(errorOf(cause).message);
    }
  };
  const onSearchKey = (event: KeyboardEvent) => {
    if (event.key === "Enter" && (event.ctrlKey || event.metaKey || regex || hits.length === 0) && !searched)
      searchAll();
    else if (event.key === "Enter") next(event.shiftKey ? -1 : 1);
    if (event.key === "Escape") {
      setWords("");
      search.close();
    }
  };
  // Keys of the log itself: as in less and vi.
  const onLogKey = (event: KeyboardEvent) => {
    touch();
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const act = {
      "/": () => box.current?.focus(),
      n: () => next(1),
      N: () => next(-1),
      g: () => toStart(),
      G: () => toEnd(),
      f: () => failed && void toFailure(),
    }[event.key];
    if (!act) return;
    event.preventDefault();
    act();
  };

  const toEnd = () => {
    setPinned(true);
    if (running || !view.after) {
      if (rows.length > 0) virtual.scrollToIndex(rows.length - 1, { align: "end" });
    } else {
      void session.openEnd();
    }
  };
  const toStart = () => {
    setPinned(false);
    if (view.before || session.buffer.dropped > 0)
      void session.openStart().then(() => (running ? session.follow() : undefined));
    scroller.current?.scrollTo({ top: 0 });
  };

  const earlier = async () => {
    setNotice("");
    setPinned(false);
    // Who goes up reads: what comes must not be dropped at once.
    session.buffer.limit = readLimit;
    setReading(true);
    try {
      await session.earlier();
      if (running) session.follow();
    } catch (cause) {
      setNotice(errorOf(cause).message);
    }
    setReading(false);
  };

  return (
    <section className="log" aria-label={t("log.label")}>
      <div className="log-bar">
        {head}
        <LogStateWords view={view} rows={rows.length} pinned={pinned} />
        <span className="spread" />
        <div className="log-search">
          <TextInput
            size="xs"
            w={170}
            value={words}
            placeholder={t("log.find")}
            aria-label={t("log.findLabel")}
            leftSection={<Icon name="search" size={13} />}
            ref={box}
            onKeyDown={onSearchKey}
            onChange={(e) => {
              setWords(e.currentTarget.value);
              setHit(0);
            }}
          />
          {words ? (
            <>
              <Hits at={hits.length ? Math.min(hit, hits.length - 1) + 1 : 0} n={hits.length} />
              <Tool icon="chevron" label={t("log.next")} onClick={() => next(1)} turned />
              <Tool icon="regex" label={t("log.regex")} on={regex} onClick={() => setRegex(!regex)} />
              <Button
                size="compact-xs"
                variant="default"
                title={t("log.searchHint")}
                loading={found.busy}
                onClick={searchAll}
              >
                {t("log.search")}
              </Button>
            </>
          ) : null}
        </div>
        <Tool
          icon="clock"
          label={t("log.times")}
          on={times}
          onClick={() => toggle("log.times", times, setTimes, "yes")}
        />
        <Tool icon="wrap" label={t("log.wrap")} on={wrap} onClick={() => toggle("log.wrap", wrap, setWrap, "no")} />
        {failed ? <Tool icon="warn" label={t("log.failure")} onClick={() => void toFailure()} /> : null}
        <Tool icon="top" label={t("log.start")} onClick={toStart} />
        {running ? (
          <Tool
            icon={pinned ? "pause" : "follow"}
            label={pinned ? t("log.pause") : t("log.follow")}
            on={pinned}
            onClick={() => (pinned ? setPinned(false) : toEnd())}
          />
        ) : (
          <Tool icon="follow" label={t("log.end")} onClick={toEnd} />
        )}
        <Download session={session} />
      </div>
      <FoundList search={search} at={target} onOpen={(before) => void open(before)} onClose={closeSearch} />
      {notice ? (
        <div className="log-edge" role="status">
          {notice}
        </div>
      ) : null}
      {view.before || session.buffer.dropped > 0 ? (
        <div className="log-edge">
          {session.buffer.dropped > 0 ? t("log.dropped", { n: session.buffer.dropped }) : t("log.before")}
          {rows.length > 0 ? (
            <Button size="compact-xs" variant="default" loading={reading} onClick={() => void earlier()}>
              {t("log.earlier")}
            </Button>
          ) : null}
          <Button
            size="compact-xs"
            variant="default"
            onClick={() => {
              onTarget(undefined);
              toStart();
            }}
          >
            {t("log.fromStart")}
          </Button>
        </div>
      ) : null}
      {view.error && view.state === "failed" ? (
        <ErrorNote
          error={view.error}
          onRetry={() => void session.openEnd().then(() => (running ? session.follow() : undefined))}
        />
      ) : null}
      <div className="log-wrap">
        <div
          ref={scroller}
          className={wrap ? "log-lines wrapped" : "log-lines"}
          onScroll={onScroll}
          onWheel={touch}
          onTouchMove={touch}
          onKeyDown={onLogKey}
          onPointerDown={touch}
          onPointerMove={(e) => e.buttons !== 0 && touch()}
          tabIndex={0}
          role="region"
          aria-label={t("log.lines")}
        >
          {rows.length === 0 ? <NoLines view={view} running={running} /> : null}
          <div style={{ height: virtual.getTotalSize(), position: "relative" }}>
            {virtual.getVirtualItems().map((item) => {
              const row = rows[item.index];
              if (!row) return null;
              return (
                <div
                  key={item.key}
                  data-index={item.index}
                  ref={virtual.measureElement}
                  className={rowClass(row, target, hitSet.has(item.index), item.index === currentHit)}
                  style={{ transform: `translateY(${item.start}px)` }}
                >
                  <Line row={row} text={row.text} times={times} node={showNode} onTarget={onTarget} />
                </div>
              );
            })}
          </div>
        </div>
        {running && !pinned && live ? (
          <Button className="log-jump" size="compact-sm" leftSection={<Icon name="follow" size={13} />} onClick={toEnd}>
            {t("log.follow")}
          </Button>
        ) : null}
      </div>
      {!running && view.after && view.state !== "loading" ? (
        <div className="log-edge end">
          {t("log.after")}
          <Button size="compact-xs" variant="default" onClick={() => void session.more()}>
            {t("log.more")}
          </Button>
          <Button size="compact-xs" variant="default" onClick={toEnd}>
            {t("log.end")}
          </Button>
        </div>
      ) : null}
    </section>
  );
}

function Hits({ at, n }: { at: number; n: number }) {
  const words = t("log.hits", { at, n });
  return (
    <span className="log-state">
      {words}
      <Polite text={useRarely(words, 2_000)} />
    </span>
  );
}

// rowAt is where the row is that has what begins at a position, -1 if it is not held.
function rowAt(session: LogSession, before: string): number {
  return session.buffer.rows.findIndex((row) => holds(row, before));
}

function toggle(name: string, on: boolean, set: (on: boolean) => void, word: "yes" | "no"): void {
  set(!on);
  remember(name, word === "yes" ? (on ? "" : "yes") : on ? "no" : "");
}

function rowClass(row: Row, target: string | undefined, hit: boolean, now: boolean): string {
  const classes = ["log-row", row.line.stream];
  if (target !== undefined && holds(row, target)) classes.push("target");
  if (hit) classes.push("hit");
  if (now) classes.push("now");
  return classes.join(" ");
}

const Line = memo(function Line({
  row,
  text,
  times,
  node,
  onTarget,
}: {
  row: Row;
  text: string;
  times: boolean;
  node: boolean;
  onTarget: (before: string) => void;
}) {
  const at = Date.parse(row.line.time);
  return (
    <>
      <span className="log-gutter">
        {times ? (
          <button type="button" className="log-time" title={full(at)} onClick={() => onTarget(row.before)}>
            {stamp(at)}
          </button>
        ) : null}
        {node ? (
          <Bdi
            className="log-node"
            title={t("log.place", { node: row.line.node, step: row.line.step + 1, line: row.line.line + 1 })}
            style={{ "--node-colour": nodeColour(row.line.node) } as object}
          >
            {row.continued ? "↪" : row.line.node}
          </Bdi>
        ) : (
          <span style={{ width: 12 }} />
        )}
      </span>
      <span className="log-text" dir="auto">
        {spans(text, row.sgr).map((s, i) => (
          <span
            // biome-ignore lint/suspicious/noArrayIndexKey: pieces of a line have no other name
            key={i}
            className={classOf(s)}
            style={styleOf(s)}
          >
            {s.text}
          </span>
        ))}
        {row.line.truncated ? <span className="log-flag">{t("log.truncated")}</span> : null}
      </span>
    </>
  );
});

function classOf(s: Span): string | undefined {
  if (s.mark) return "log-mark";
  return s.dark ? `ansi-own ${s.className ?? ""}` : s.className;
}

function styleOf(s: Span): CSSProperties | undefined {
  if (s.dark) return { "--light": s.color, "--dark": s.dark } as CSSProperties;
  return s.color || s.background ? { color: s.color, backgroundColor: s.background } : undefined;
}

const hues = [205, 265, 330, 20, 45, 95, 150, 180, 235, 300];

// nodeColour tells neighbours apart at a glance; the name stands beside it.
function nodeColour(node: string): string {
  let sum = 0;
  for (let i = 0; i < node.length; i++) sum = (sum * 31 + node.charCodeAt(i)) >>> 0;
  return `hsl(${hues[sum % hues.length]} 45% 52%)`;
}

function Tool({
  icon,
  label,
  on,
  onClick,
  turned,
}: {
  icon: IconName;
  label: string;
  on?: boolean;
  onClick: () => void;
  turned?: boolean;
}) {
  return (
    <Tooltip label={label}>
      <ActionIcon
        variant={on ? "light" : "subtle"}
        color={on ? undefined : "gray"}
        size="md"
        aria-label={label}
        aria-pressed={on}
        onClick={onClick}
        style={turned ? { rotate: "90deg" } : undefined}
      >
        <Icon name={icon} size={15} />
      </ActionIcon>
    </Tooltip>
  );
}

// How often a log that grows is told of aloud.
const countEvery = 30_000;

function LogStateWords({ view, rows, pinned }: { view: View; rows: number; pinned: boolean }) {
  useNow(view.state === "reconnecting");
  const count = t(view.before ? "log.lastCount" : "log.count", { n: rows });
  const rare = useRarely(count, countEvery);
  if (view.state === "following" || view.state === "reconnecting") {
    const cut = view.state === "reconnecting";
    const word = t(cut ? "log.cut" : pinned ? "log.following" : "log.paused");
    const age = duration(Math.floor((Date.now() - view.since) / 1000) * 1000);
    return (
      <span className="log-state">
        <span className={`link-dot ${cut ? "lost" : pinned ? "live" : "connecting"}`} />
        {cut ? t("log.reconnecting", { age }) : word} · {count}
        <Polite text={`${word} · ${rare}`} />
      </span>
    );
  }
  const whole = view.end && !view.after && view.end.logComplete;
  const words = whole ? `${t("log.whole")} · ${count}` : count;
  return (
    <span className="log-state">
      {words}
      <Polite text={view.state === "loading" ? "" : words} />
    </span>
  );
}

function NoLines({ view, running }: { view: View; running: boolean }) {
  if (view.state === "loading") return <Loading />;
  return (
    <div className="log-edge" style={{ background: "none", border: 0, padding: 24 }}>
      {running ? t("log.noneYet") : t("log.none")}
    </div>
  );
}

function Download({ session }: { session: LogSession }) {
  const { execution, node, step } = session.query;
  const address = (format: string) => {
    const query = new URLSearchParams({
      format,
      download: "true",
      ...given({ node, step: step >= 0 ? String(step) : "" }),
    });
    return `/api/v1/executions/${encodeURIComponent(execution)}/log?${query}`;
  };
  return (
    <Menu position="bottom-end">
      <Menu.Target>
        <ActionIcon variant="subtle" color="gray" size="md" aria-label={t("log.download")}>
          <Icon name="download" size={15} />
        </ActionIcon>
      </Menu.Target>
      <Menu.Dropdown>
        <Menu.Item component="a" href={address("text")} download>
          {t("log.downloadText")}
        </Menu.Item>
        <Menu.Item component="a" href={address("ndjson")} download>
          {t("log.downloadNDJSON")}
        </Menu.Item>
        <Menu.Item component="a" href={address("html")} download>
          {t("log.downloadHTML")}
        </Menu.Item>
        <Menu.Item component="a" href={`/api/v1/executions/${encodeURIComponent(execution)}/log/export`} download>
          {t("log.downloadExport")}
        </Menu.Item>
      </Menu.Dropdown>
    </Menu>
  );
}

export function useSession(make: () => LogSession, deps: readonly unknown[]): LogSession | undefined {
  const [session, setSession] = useState<LogSession>();
  useEffect(() => {
    const made = make();
    setSession(made);
    return () => made.close();
    // biome-ignore lint/correctness/useExhaustiveDependencies: the caller says what a new reading depends on
  }, deps);
  return session;
}
