// Times as people read them: in the viewer's zone with its offset, relative beside
// absolute, UTC where things are copied. Elapsed times count by the hub's clock.

import { createStore } from "./store";

// The difference hub minus browser, in ms, learnt from the Date of each answer (whole
// seconds, so half a second is added). The smallest round trip seen tells it best.
let offset = 0;
let bestTrip = Number.POSITIVE_INFINITY;

export function learnClock(dateHeader: string | null, sentAt: number, gotAt: number): void {
  const hub = dateHeader ? Date.parse(dateHeader) : Number.NaN;
  if (Number.isNaN(hub)) return;
  const trip = gotAt - sentAt;
  const seen = hub + 500 - (sentAt + trip / 2);
  const drifted = Math.abs(seen - offset) > 2000 + trip;
  if (trip <= bestTrip || drifted) {
    bestTrip = trip;
    // Below the header's own grain a difference says nothing.
    offset = Math.abs(seen) <= 750 ? 0 : seen;
  }
}

export function hubNow(): number {
  return Date.now() + offset;
}

// tick is bumped each second while someone watches, so that one timer moves all ages.
export const tick = createStore(0);
let watchers = 0;
let timer: ReturnType<typeof setInterval> | undefined;

export function watchTick(listener: () => void): () => void {
  const stop = tick.subscribe(listener);
  watchers++;
  timer ??= setInterval(() => tick.set(tick.get() + 1), 1000);
  return () => {
    stop();
    watchers--;
    if (watchers === 0 && timer !== undefined) {
      clearInterval(timer);
      timer = undefined;
    }
  };
}

const relative = new Intl.RelativeTimeFormat("en", { numeric: "auto", style: "short" });

// ago tells an instant relative to now: "12 sec. ago", "yesterday".
export function ago(at: number, now: number): string {
  const s = (at - now) / 1000;
  const abs = Math.abs(s);
  if (abs < 3) return "just now";
  if (abs < 60) return relative.format(Math.round(s), "second");
  if (abs < 3600) return relative.format(Math.round(s / 60), "minute");
  // Yesterday is the day before this one, not whatever is a day and a half away.
  const days = dayOf(at) - dayOf(now);
  if (abs < 86400 || days === 0) return relative.format(Math.round(s / 3600), "hour");
  return relative.format(days, "day");
}

// dayOf counts the days of the viewer's calendar.
function dayOf(at: number): number {
  const date = new Date(at);
  return Date.UTC(date.getFullYear(), date.getMonth(), date.getDate()) / 86_400_000;
}

// duration tells a span shortly: "0.4 s", "12 s", "3 min 05 s", "2 h 10 min".
export function duration(ms: number): string {
  if (ms < 0) ms = 0;
  if (ms < 950) return `${Math.round(ms)} ms`;
  if (ms < 9950) return `${(ms / 1000).toFixed(1)} s`;
  const s = Math.round(ms / 1000);
  if (s < 60) return `${s} s`;
  const m = Math.floor(s / 60);
  if (m < 60) return `${m} min ${String(s % 60).padStart(2, "0")} s`;
  const h = Math.floor(m / 60);
  if (h < 48) return `${h} h ${String(m % 60).padStart(2, "0")} min`;
  return `${Math.floor(h / 24)} d ${h % 24} h`;
}

const clock = new Intl.DateTimeFormat("en-GB", {
  hour: "2-digit",
  minute: "2-digit",
  second: "2-digit",
  hour12: false,
});
const day = new Intl.DateTimeFormat("en-GB", { day: "numeric", month: "short" });
const dayYear = new Intl.DateTimeFormat("en-GB", { day: "numeric", month: "short", year: "numeric" });

// local tells an instant in the viewer's zone, as short as it can be told clearly.
export function local(at: number, now: number): string {
  const a = new Date(at);
  const b = new Date(now);
  if (a.toDateString() === b.toDateString()) return clock.format(a);
  const date = a.getFullYear() === b.getFullYear() ? day.format(a) : dayYear.format(a);
  return `${date}, ${clock.format(a)}`;
}

export function zoneOffset(at: number): string {
  const minutes = -new Date(at).getTimezoneOffset();
  const sign = minutes < 0 ? "−" : "+";
  const abs = Math.abs(minutes);
  return `UTC${sign}${String(Math.floor(abs / 60)).padStart(2, "0")}:${String(abs % 60).padStart(2, "0")}`;
}

// full is the tooltip: the instant with its offset, and the same in UTC.
export function full(at: number): string {
  return `${dayYear.format(at)}, ${clock.format(at)} ${zoneOffset(at)} · ${new Date(at).toISOString()}`;
}

// inZone tells the instants in the hub's words, which are in UTC, in the viewer's zone.
export function inZone(words: string, now: number): string {
  return words.replace(/\b\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ/g, (instant) => {
    const at = Date.parse(instant);
    return `${local(at, now)} ${zoneOffset(at)}`;
  });
}

// stamp is a log line's time: hours to milliseconds in the viewer's zone.
export function stamp(at: number): string {
  return `${clock.format(at)}.${String(new Date(at).getMilliseconds()).padStart(3, "0")}`;
}
