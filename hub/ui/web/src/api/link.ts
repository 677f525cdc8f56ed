// How this page hears of changes.

import { createStore, useStore } from "../base/store";
import type { Link } from "./socket";

export interface LinkState {
  // polling: the hub answers, but no socket comes through to it.
  state: Link | "polling";
  since: number;
}

export const link = createStore<LinkState>({ state: "connecting", since: Date.now() });

// usePoll is how often to ask for what is still going on, in ms. Events are hints: one
// may be lost, and where a proxy lets no WebSocket through there are none at all.
export function usePoll(): number {
  return useStore(link).state === "live" ? 30_000 : 4_000;
}
