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
}

export interface Connection {
  close(): void;
}

// What the hub closes with when a session ended.
const refusedCode = 4401;

export function connect(handlers: SocketHandlers, make = (url: string): WebSocket => new WebSocket(url)): Connection {
  let socket: WebSocket | undefined;
  let timer: ReturnType<typeof setTimeout> | undefined;
  let attempt = 0;
  let lostSince = 0;
  let closed = false;

  const open = () => {
    timer = undefined;
    if (closed) return;
    if (lostSince === 0) handlers.link("connecting", Date.now());
    socket = make(handlers.url());
    socket.onopen = () => {
      lostSince = 0;
      handlers.link("live", Date.now());
    };
    socket.onmessage = (event: MessageEvent<string>) => {
      attempt = 0;
      handlers.message(event.data);
    };
    socket.onclose = (event: CloseEvent) => {
      if (event.code === refusedCode) handlers.refused?.();
      else lost();
    };
  };

  const lost = () => {
    socket = undefined;
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
      window.removeEventListener("online", wake);
      document.removeEventListener("visibilitychange", wake);
      if (socket) {
        socket.onclose = null;
        socket.close();
      }
    },
  };
}
