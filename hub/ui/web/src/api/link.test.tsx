// @vitest-environment jsdom
import { QueryClient, QueryClientProvider } from "@tanstack/react-query";
import { act, renderHook } from "@testing-library/react";
import type { ReactNode } from "react";
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { link } from "./link";
import { startLive } from "./live";
import { useExecution, useMatrix } from "./queries";

class Socket {
  static made: Socket[] = [];
  onopen?: () => void;
  onmessage?: (event: { data: string }) => void;
  onclose?: ((event: { code: number }) => void) | null;
  constructor() {
    Socket.made.push(this);
  }
  close() {}
}

beforeEach(() => {
  vi.useFakeTimers();
  vi.stubGlobal("WebSocket", Socket);
  Socket.made = [];
});
afterEach(() => {
  vi.useRealTimers();
  link.set({ state: "connecting", since: 0 });
});

const pass = (ms: number) => act(() => vi.advanceTimersByTimeAsync(ms));

test("where only sockets are blocked the hub is not called lost", async () => {
  let up = true;
  vi.stubGlobal("fetch", async () => {
    if (!up) throw new TypeError("nobody there");
    return Response.json({ name: "mara" });
  });
  const live = startLive(new QueryClient());
  Socket.made[0]?.onclose?.({ code: 1006 });
  await pass(0);
  expect(link.get().state).toBe("polling");
  up = false;
  await pass(1000);
  Socket.made.at(-1)?.onclose?.({ code: 1006 });
  await pass(0);
  expect(link.get().state).toBe("lost");
  up = true;
  await pass(15_000);
  Socket.made.at(-1)?.onopen?.();
  expect(link.get().state).toBe("live");
  live.close();
});

test("what is open is asked for until it has ended, often without events and seldom with them", async () => {
  let status = "running";
  let asked = 0;
  vi.stubGlobal("fetch", async () => {
    asked++;
    return Response.json({ id: "e1", number: 1, status, nodes: {} });
  });
  const client = new QueryClient();
  const wrapper = ({ children }: { children: ReactNode }) => (
    <QueryClientProvider client={client}>{children}</QueryClientProvider>
  );
  link.set({ state: "polling", since: 0 });
  const { result } = renderHook(() => useExecution("1"), { wrapper });
  await pass(0);
  await pass(12_500);
  expect(asked).toBe(4);
  act(() => link.set({ state: "live", since: 0 }));
  await pass(29_000);
  expect(asked).toBe(4);
  status = "succeeded";
  await pass(2_000);
  expect(result.current.data?.status).toBe("succeeded");
  await pass(300_000);
  expect(asked).toBe(5);
});

test("a matrix that takes longer to read than nodes take to end is read nevertheless, and once more after the last", async () => {
  let ended = 0;
  // A reading tells what was when it began, and is over 1.5 s later.
  vi.stubGlobal("fetch", async (request: Request) => {
    const answer = Response.json({ items: [{ node: `n${ended}` }] });
    await new Promise((resolve, reject) => {
      setTimeout(resolve, 1500);
      request.signal.addEventListener("abort", () => reject(request.signal.reason));
    });
    return answer;
  });
  const client = new QueryClient();
  const wrapper = ({ children }: { children: ReactNode }) => (
    <QueryClientProvider client={client}>{children}</QueryClientProvider>
  );
  const live = startLive(client);
  const { result } = renderHook(() => useMatrix("e1", false), { wrapper });
  await pass(1600);
  expect(result.current.data?.[0]?.node).toBe("n0");
  while (ended < 10) {
    ended++;
    Socket.made[0]?.onmessage?.({ data: JSON.stringify({ type: "node", executionId: "e1" }) });
    await pass(500);
  }
  expect(result.current.data?.[0]?.node).not.toBe("n0");
  await pass(5_000);
  expect(result.current.data?.[0]?.node).toBe("n10");
  live.close();
});
