import createClient, { type Middleware } from "openapi-fetch";
import { away } from "../base/presence";
import { createStore } from "../base/store";
import { learnClock } from "../base/time";
import { t } from "../text/t";
import type { components, paths } from "./schema";

type Schemas = components["schemas"];
export type Me = Schemas["Me"];
export type Project = Schemas["Project"];
export type Node = Schemas["Node"];
export type JobSummary = Schemas["JobSummary"];
export type Job = Schemas["Job"];
export type JobOption = Schemas["JobOption"];
export type JobStep = Schemas["JobStep"];
export type Execution = Schemas["Execution"];
export type ExecutionNode = Schemas["ExecutionNode"];
export type ExecutionStep = Schemas["ExecutionStep"];
export type StepOn = Schemas["StepOn"];
export type Runner = Schemas["Runner"];
export type RunnerToken = Schemas["RunnerToken"];
export type CreatedRunnerToken = Schemas["CreatedRunnerToken"];
export type Key = Schemas["Key"];
export type Token = Schemas["Token"];
export type Status = Schemas["Status"];
export type LogLine = Schemas["LogLine"];
export type LogEnd = Schemas["LogEnd"];
export type LogMatch = Schemas["LogMatch"];
export type LogMessage = Schemas["LogMessage"];
export type Schedule = Schemas["Schedule"];
export type Archive = Schemas["Archive"];
export type Cluster = Schemas["Cluster"];
export type Member = Schemas["Member"];
export type MemberChange = Schemas["MemberChange"];
export type Recovery = Schemas["Recovery"];
export type PurgeRun = Schemas["PurgeRun"];
export type Quota = Schemas["Quota"];
export type RetentionPlan = Schemas["RetentionPlan"];
export type Calendar = Schemas["Calendar"];
export type Fires = Schemas["Fires"];
export type JobFire = Schemas["JobFire"];
export type LiveEvent = Schemas["Event"];
export type Problem = Schemas["Problem"];

// ApiError is any answer that is not a success, or none at all (code "unreachable").
export class ApiError extends Error {
  readonly code: string;
  readonly status: number;
  readonly fields: { path: string; message: string }[];

  constructor(code: string, status: number, message: string, fields: { path: string; message: string }[] = []) {
    super(message);
    this.name = "ApiError";
    this.code = code;
    this.status = status;
    this.fields = fields;
  }

  // field returns what is wrong with an input, by the end of its path.
  field(name: string): string | undefined {
    return this.fields.find((f) => f.path === name || f.path.endsWith(`.${name}`))?.message;
  }
}

export function problemFrom(body: unknown, status: number): ApiError {
  const p = body as Partial<Problem> | undefined;
  if (p && typeof p === "object" && typeof p.code === "string") {
    return new ApiError(p.code, status, p.detail || p.title || t("error.internal"), p.errors ?? []);
  }
  if (status === 502 || status === 503 || status === 504)
    return new ApiError("unavailable", status, t("error.unavailable"));
  return new ApiError("internal", status, t("error.status", { status: String(status) }));
}

// signedOut is set when the hub no longer knows us; the shell then asks to sign in, over
// the page, so that what is typed there stays. left is set when a person signed out: then
// nothing of the page may stay.
export const signedOut = createStore(false);
export const left = createStore(false);

// signedIn resolves when somebody has signed in again.
export function signedIn(): Promise<void> {
  return new Promise((resolve) => {
    const stop = signedOut.subscribe(() => {
      if (signedOut.get()) return;
      stop();
      resolve();
    });
  });
}

const clockAndSession: Middleware = {
  onRequest({ request }) {
    if (away()) request.headers.set("Fairlead-Background", "true");
    return request;
  },
  onResponse({ response, request }) {
    if (response.status === 401 && !request.url.endsWith("/api/v1/sessions")) signedOut.set(true);
    return undefined;
  },
};

async function timedFetch(request: Request): Promise<Response> {
  // The page under the form asks on by itself, and would be refused each time.
  if (signedOut.get() && !/\/api\/v1\/(sessions|me)$/.test(request.url))
    throw new ApiError("unauthenticated", 401, t("signIn.ended"));
  const sent = Date.now();
  let response: Response;
  try {
    response = await fetch(request);
  } catch (cause) {
    if (request.signal.aborted) throw cause;
    // Pages read again by themselves; what a person asked for waits until he asks again.
    throw new ApiError("unreachable", 0, t(request.method === "GET" ? "error.unreachable" : "error.unanswered"));
  }
  learnClock(response.headers.get("Date"), sent, Date.now());
  return response;
}

export const api = createClient<paths>({
  baseUrl: window.location.origin,
  fetch: timedFetch,
  querySerializer: { array: { style: "form", explode: false } },
});
api.use(clockAndSession);

interface Answer<T> {
  data?: T;
  error?: unknown;
  response: Response;
}

// must returns the body of a success and throws an ApiError for everything else.
export async function must<T>(answer: Promise<Answer<T>>): Promise<T> {
  const { data, error, response } = await answer;
  if (!response.ok) throw problemFrom(error, response.status);
  return data as T;
}

export function errorOf(error: unknown): ApiError {
  if (error instanceof ApiError) return error;
  return new ApiError("internal", 0, error instanceof Error ? error.message : t("error.internal"));
}

// idempotencyKey makes a create harmless to repeat. randomUUID is only there on HTTPS
// and loopback, so the bytes are drawn by hand.
export function idempotencyKey(): string {
  return Array.from(crypto.getRandomValues(new Uint8Array(16)), (b) => b.toString(16).padStart(2, "0")).join("");
}

export function socketURL(path: string, query: Record<string, string> = {}): string {
  const url = new URL(path, window.location.origin);
  url.protocol = url.protocol === "https:" ? "wss:" : "ws:";
  for (const [name, value] of Object.entries(query)) url.searchParams.set(name, value);
  return url.toString();
}
