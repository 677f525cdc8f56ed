// A WebSocket that comes back by itself: full jitter from 0.5 s doubling to 15 s, so
// that the browsers of a large office do not return as one when a hub restarts.

export type Link = "connecting" | "live" | "lost";

export interface SocketHandlers {
  // url is asked before each attempt, so that a reader goes on where it stopped.
  url: () => string;
  message: (data: string) => void;
  // link tells each change; lost carries since when.
  link: (state: Link, since: number) => void;
  // refused is told when the right to listen is gone; it does not come back then.
  refused?: () => void;
  // finished says whether a close means the end, not a cut.
  finished?: () => boolean;
  // instead goes another way when no socket could be opened: a browser does not tell
  // whether the hub refused it, or a proxy, or nobody answered. It calls live once that
  // way is open, and resolves when it has ended: true to try again, false for good.
  instead?: (signal: AbortSignal, live: () => void) => Promise<boolean>;
}

export interface Connection {
  close(): void;
}

// What the hub closes with when a session ended.
const refusedCode = 4401;
// Some proxies neither let a socket through nor refuse it.
const openLimit = 8_000;

export function connect(handlers: SocketHandlers, make = (url: string): WebSocket => new WebSocket(url)): Connection {
  let socket: WebSocket | undefined;
  let timer: ReturnType<typeof setTimeout> | undefined;
  let attempt = 0;
  let lostSince = 0;
  let closed = false;
  const elsewhere = new AbortController();

  const live = () => {
    lostSince = 0;
    handlers.link("live", Date.now());
  };

  const open = () => {
    timer = undefined;
    if (closed) return;
    if (lostSince === 0) handlers.link("connecting", Date.now());
    const made = make(handlers.url());
    socket = made;
    let opened = false;
    const limit = setTimeout(() => made.close(), openLimit);
    made.onopen = () => {
      clearTimeout(limit);
      opened = true;
      live();
    };
    made.onmessage = (event: MessageEvent<string>) => {
      attempt = 0;
      handlers.message(event.data);
    };
    made.onclose = (event: CloseEvent) => {
      clearTimeout(limit);
      socket = undefined;
      if (event.code === refusedCode) handlers.refused?.();
      else if (opened || !handlers.instead) lost();
      else void goElsewhere(handlers.instead);
    };
  };

  const goElsewhere = async (instead: NonNullable<SocketHandlers["instead"]>) => {
    const again = await instead(elsewhere.signal, () => {
      attempt = 0;
      live();
    });
    if (again) lost();
  };

  const lost = () => {
    if (closed || handlers.finished?.()) return;
    if (lostSince === 0) lostSince = Date.now();
    handlers.link("lost", lostSince);
    const ceiling = Math.min(15_000, 500 * 2 ** attempt);
    attempt++;
    timer = setTimeout(open, Math.random() * ceiling);
  };

  // Back from sleep, or the network is there again: no reason to wait.
  const wake = () => {
    if (timer === undefined || document.visibilityState === "hidden") return;
    clearTimeout(timer);
    open();
  };
  window.addEventListener("online", wake);
  document.addEventListener("visibilitychange", wake);
  open();

  return {
    close() {
      closed = true;
      clearTimeout(timer);
      elsewhere.abort();
      window.removeEventListener("online", wake);
      document.removeEventListener("visibilitychange", wake);
      if (socket) {
        socket.onclose = null;
        socket.close();
      }
    },
  };
}
