// What the pages ask of the hub: one hook per question, one key per answer.

import { keepPreviousData, type QueryClient, useInfiniteQuery, useQuery } from "@tanstack/react-query";
import { isFinal } from "../base/Status";
import { type ApiError, api, errorOf, type Me, must, type Status } from "./client";
import { usePoll } from "./link";

export const keys = {
  me: ["me"] as const,
  projects: ["projects"] as const,
  project: (project: string) => ["project", project] as const,
  jobs: (project: string) => ["jobs", project] as const,
  job: (project: string, job: string) => ["job", project, job] as const,
  executions: ["executions"] as const,
  execution: (id: string) => ["execution", id] as const,
  matrix: (id: string) => ["matrix", id] as const,
  nodes: (project: string) => ["nodes", project] as const,
  runners: ["runners"] as const,
  runner: (id: string) => ["runners", id] as const,
  tokens: ["runner-tokens"] as const,
  keys: ["keys"] as const,
  ownTokens: ["own-tokens"] as const,
  cluster: ["cluster"] as const,
  schedules: (project: string) => ["schedules", project] as const,
};

export function useMe() {
  return useQuery({
    queryKey: keys.me,
    queryFn: async ({ signal, client }) => takeMe(client, await must(api.GET("/api/v1/me", { signal }))),
    staleTime: 60_000,
  });
}

// takeMe is told who we are. That may be another than before: who signs in in one window
// does so in all. What was read for the one is not for the other.
export function takeMe(client: QueryClient, now: Me): Me {
  const before = client.getQueryData<Me>(keys.me);
  if (before && before.id !== now.id) client.removeQueries({ predicate: (q) => q.queryKey[0] !== keys.me[0] });
  return now;
}

// useProjects reads all of them: menus and choices look through their names.
export function useProjects() {
  return useQuery({
    queryKey: keys.projects,
    queryFn: async ({ signal }) => ({
      items: await allPages((cursor) =>
        must(api.GET("/api/v1/projects", { params: { query: { limit: 1000, ...given({ cursor }) } }, signal })),
      ),
    }),
  });
}

export function useProject(project: string) {
  return useQuery({
    queryKey: keys.project(project),
    queryFn: ({ signal }) => must(api.GET("/api/v1/projects/{project}", { params: { path: { project } }, signal })),
    refetchInterval: 30_000,
  });
}

// useRetention asks the hub to look at all executions of a project: not by itself again.
export function useRetention(project: string, revision: number) {
  return useQuery({
    queryKey: ["retention", project, revision],
    queryFn: ({ signal }) =>
      must(api.GET("/api/v1/projects/{project}/retention", { params: { path: { project } }, signal })),
    placeholderData: keepPreviousData,
    staleTime: 60_000,
  });
}

export function useJobs(project: string, search: string) {
  return useInfiniteQuery({
    queryKey: [...keys.jobs(project), search],
    queryFn: ({ pageParam, signal }) =>
      must(
        api.GET("/api/v1/projects/{project}/jobs", {
          params: { path: { project }, query: { limit: 500, ...given({ search, cursor: pageParam }) } },
          signal,
        }),
      ),
    initialPageParam: "",
    getNextPageParam: (last) => last.next || undefined,
    placeholderData: keepPreviousData,
    enabled: project !== "",
  });
}

export function useJob(project: string, job: string) {
  return useQuery({
    queryKey: keys.job(project, job),
    queryFn: ({ signal }) =>
      must(api.GET("/api/v1/projects/{project}/jobs/{job}", { params: { path: { project, job } }, signal })),
    enabled: project !== "" && job !== "",
  });
}

export interface ExecutionFilter {
  project?: string;
  job?: string;
  status?: Status[];
  limit?: number;
}

// useExecutions is asked anew by itself only if told so: rows must not move under a
// pointer, which only the list knows of.
export function useExecutions(filter: ExecutionFilter, every: number | false = false) {
  const { project, job, status, limit = 50 } = filter;
  return useInfiniteQuery({
    queryKey: [...keys.executions, { project, job, status, limit }],
    queryFn: ({ pageParam, signal }) =>
      must(
        api.GET("/api/v1/executions", {
          params: {
            query: { limit, ...given({ project, job, cursor: pageParam }), ...(status?.length ? { status } : {}) },
          },
          signal,
        }),
      ),
    initialPageParam: "",
    getNextPageParam: (last) => last.next || undefined,
    placeholderData: keepPreviousData,
    refetchInterval: every,
  });
}

export function useExecution(id: string) {
  const every = usePoll();
  return useQuery({
    queryKey: keys.execution(id),
    queryFn: ({ signal }) => must(api.GET("/api/v1/executions/{id}", { params: { path: { id } }, signal })),
    enabled: id !== "",
    refetchInterval: ({ state }) => (state.data && isFinal(state.data.status) ? false : every),
  });
}

// useMatrix reads all rows: the grid is virtual, its data is not (a thousand nodes of
// ten steps are some hundred kilobytes packed).
export function useMatrix(id: string, open: boolean) {
  return useQuery({
    queryKey: keys.matrix(id),
    queryFn: ({ signal }) =>
      allPages((cursor) =>
        must(
          api.GET("/api/v1/executions/{id}/nodes", {
            params: { path: { id }, query: { limit: 1000, ...given({ cursor }) } },
            signal,
          }),
        ),
      ),
    enabled: id !== "",
    // Events are hints; the poll is the truth, slower for what is big.
    refetchInterval: (query) => (open ? ((query.state.data?.length ?? 0) > 200 ? 5000 : 2000) : false),
    placeholderData: keepPreviousData,
  });
}

export function useSchedules(project: string) {
  return useQuery({
    queryKey: keys.schedules(project),
    queryFn: ({ signal }) =>
      everyPage((query) => api.GET("/api/v1/schedules", { params: { query: { ...query, project } }, signal })),
    enabled: project !== "",
    refetchInterval: 30_000,
  });
}

// useCalendars reads all of a project's. They are kept with its schedules: what changes
// the ones changes what comes of the others.
export function useCalendars(project: string) {
  return useQuery({
    queryKey: [...keys.schedules(project), "calendars"],
    queryFn: ({ signal }) =>
      everyPage((query) =>
        api.GET("/api/v1/projects/{project}/calendars", { params: { path: { project }, query }, signal }),
      ),
    enabled: project !== "",
    refetchInterval: 30_000,
  });
}

// useFires tells what comes of a schedule, and what became of its last fires.
export function useFires(project: string, job: string) {
  return useQuery({
    queryKey: [...keys.schedules(project), "fires", job],
    queryFn: ({ signal }) =>
      must(
        api.GET("/api/v1/projects/{project}/jobs/{job}/fires", {
          params: { path: { project, job }, query: { count: 10 } },
          signal,
        }),
      ),
    enabled: job !== "",
    refetchInterval: 30_000,
  });
}

// useUnstarted tells which fires of a project were missed or failed.
export function useUnstarted(project: string) {
  return useQuery({
    queryKey: [...keys.schedules(project), "unstarted"],
    queryFn: ({ signal }) =>
      must(
        api.GET("/api/v1/projects/{project}/fires", { params: { path: { project }, query: { limit: 50 } }, signal }),
      ),
    enabled: project !== "",
    refetchInterval: 30_000,
  });
}

async function allPages<T>(read: (cursor: string) => Promise<{ items: T[]; next?: string }>): Promise<T[]> {
  const items: T[] = [];
  for (let cursor: string | undefined = ""; cursor !== undefined; ) {
    const page = await read(cursor);
    items.push(...page.items);
    cursor = page.next || undefined;
  }
  return items;
}

export function useNodes(project: string, filter: string, exclude = "", limit = 100) {
  return useInfiniteQuery({
    queryKey: [...keys.nodes(project), filter, exclude, limit],
    queryFn: ({ pageParam, signal }) =>
      must(
        api.GET("/api/v1/projects/{project}/nodes", {
          params: { path: { project }, query: { limit, ...given({ filter, exclude, cursor: pageParam }) } },
          signal,
        }),
      ),
    initialPageParam: "",
    getNextPageParam: (last) => last.next || undefined,
    placeholderData: keepPreviousData,
    enabled: project !== "",
    retry: false,
  });
}

export function useNode(project: string, node: string) {
  return useQuery({
    queryKey: [...keys.nodes(project), "one", node],
    queryFn: ({ signal }) =>
      must(api.GET("/api/v1/projects/{project}/nodes/{node}", { params: { path: { project, node } }, signal })),
  });
}

export function useHostKeys(project: string, node: string) {
  return useQuery({
    queryKey: [...keys.nodes(project), "hostkeys", node],
    queryFn: ({ signal }) =>
      everyPage((query) =>
        api.GET("/api/v1/projects/{project}/nodes/{node}/hostkeys", {
          params: { path: { project, node }, query },
          signal,
        }),
      ),
  });
}

export function useRunners() {
  return useQuery({
    queryKey: keys.runners,
    queryFn: ({ signal }) => everyPage((query) => api.GET("/api/v1/runners", { params: { query }, signal })),
    refetchInterval: 15_000,
  });
}

// useRunner also finds a revoked one, which the list leaves out.
export function useRunner(id: string) {
  return useQuery({
    queryKey: keys.runner(id),
    queryFn: ({ signal }) => must(api.GET("/api/v1/runners/{id}", { params: { path: { id } }, signal })),
    refetchInterval: 15_000,
  });
}

export function useRunnerTokens(admin: boolean, every: number | false = false) {
  return useQuery({
    queryKey: keys.tokens,
    queryFn: ({ signal }) => everyPage((query) => api.GET("/api/v1/runners/tokens", { params: { query }, signal })),
    enabled: admin,
    refetchInterval: every,
  });
}

export function useKeys(prefix: string) {
  return useInfiniteQuery({
    queryKey: [...keys.keys, prefix],
    queryFn: ({ pageParam, signal }) =>
      must(
        api.GET("/api/v1/keys", { params: { query: { limit: 200, ...given({ prefix, cursor: pageParam }) } }, signal }),
      ),
    initialPageParam: "",
    getNextPageParam: (last) => last.next || undefined,
    placeholderData: keepPreviousData,
  });
}

export function useOwnTokens() {
  return useQuery({
    queryKey: keys.ownTokens,
    queryFn: ({ signal }) => everyPage((query) => api.GET("/api/v1/tokens", { params: { query }, signal })),
  });
}

// useCluster asks often where members are shown: no event tells of them.
export function useCluster(every = 2000) {
  return useQuery({
    queryKey: keys.cluster,
    queryFn: ({ signal }) => must(api.GET("/api/v1/cluster", { signal })),
    refetchInterval: every,
  });
}

// everyPage reads a list that the pages show whole.
async function everyPage<T>(
  page: (query: { limit: number; cursor?: string }) => Parameters<typeof must<{ items: T[]; next?: string }>>[0],
): Promise<{ items: T[] }> {
  const items: T[] = [];
  let cursor: string | undefined;
  do {
    const answer = await must(page({ limit: 1000, ...given({ cursor }) }));
    items.push(...answer.items);
    cursor = answer.next;
  } while (cursor);
  return { items };
}

// given leaves out what is empty: an empty parameter is not an absent one.
export function given(values: Record<string, string | undefined>): Record<string, string> {
  const out: Record<string, string> = {};
  for (const [name, value] of Object.entries(values)) if (value) out[name] = value;
  return out;
}

// worthRetrying: a hub that restarts is back in seconds, a refusal stays one.
export function worthRetrying(failures: number, error: unknown): boolean {
  const e: ApiError = errorOf(error);
  return failures < 4 && (e.code === "unreachable" || e.code === "unavailable");
}
