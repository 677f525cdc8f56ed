// Opens the whole application at an address, as a browser would, with a hub that
// answers as a test tells it.
import { MantineProvider } from "@mantine/core";
import { Notifications } from "@mantine/notifications";
import { QueryClient, QueryClientProvider } from "@tanstack/react-query";
import { createBrowserHistory, createRouter, RouterProvider } from "@tanstack/react-router";
import { render } from "@testing-library/react";
import { vi } from "vitest";
import { left, type Me, signedOut } from "./api/client";
import { router } from "./router";
import { theme } from "./theme";

export interface Asked {
  method: string;
  path: string;
  query: URLSearchParams;
  key: string | null;
  match: string | null;
  body: unknown;
}

// Told is an answer: a body of status 200, or anything with its own status.
export class Told {
  constructor(
    readonly status: number,
    readonly body: unknown,
  ) {}
}

export const refused = (
  status: number,
  code: string,
  detail: string,
  errors: { path: string; message: string }[] = [],
) => new Told(status, { code, title: code, detail, status, errors });

// A Hub answers by "METHOD /path"; what it has no answer for is not found.
export type Hub = Record<string, unknown | ((asked: Asked) => unknown)>;

const me: Me = {
  name: "mara",
  admin: true,
  publicUrl: "",
  version: "1.0",
  member: "m1",
} as Me;

const everywhere: Hub = {
  "GET /api/v1/me": me,
  "GET /api/v1/projects": { items: [{ id: "p1", name: "web", description: "", updatedAt: "2026-11-22T15:04:05Z" }] },
  "GET /api/v1/executions": { items: [] },
  "GET /api/v1/runners": { items: [] },
  "GET /api/v1/runners/tokens": { items: [] },
};

// open returns what was asked of the hub, in order.
export function open(address: string, hub: Hub): Asked[] {
  const asked: Asked[] = [];
  const answers: Hub = { ...everywhere, ...hub };
  vi.stubGlobal("fetch", async (input: Request | string) => {
    const request = typeof input === "string" ? new Request(new URL(input, window.location.origin)) : input;
    const url = new URL(request.url);
    const text = await request.text();
    const one: Asked = {
      method: request.method,
      path: decodeURIComponent(url.pathname),
      query: url.searchParams,
      key: request.headers.get("Idempotency-Key"),
      match: request.headers.get("If-Match"),
      body: text === "" ? undefined : parsed(text),
    };
    asked.push(one);
    const found = answers[`${one.method} ${one.path}`] ?? refused(404, "not_found", `no ${one.path}`);
    const told: unknown = typeof found === "function" ? await found(one) : found;
    if (told instanceof Told) return answer(told.status, told.body);
    return answer(200, told);
  });
  signedOut.set(false);
  left.set(false);
  window.history.replaceState(null, "", address);
  const client = new QueryClient({ defaultOptions: { queries: { retry: false, staleTime: 2000 } } });
  const fresh = createRouter({ ...router.options, history: createBrowserHistory() });
  render(
    <MantineProvider theme={theme} env="test">
      <Notifications />
      <QueryClientProvider client={client}>
        <RouterProvider router={fresh as unknown as typeof router} />
      </QueryClientProvider>
    </MantineProvider>,
  );
  return asked;
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return text;
  }
}

function answer(status: number, body: unknown): Response {
  if (typeof body === "string") return new Response(body, { status });
  return new Response(JSON.stringify(body), { status, headers: { "Content-Type": "application/json" } });
}
