import {
  createRootRoute,
  createRoute,
  createRouter,
  Link,
  Outlet,
  redirect,
  useNavigate,
} from "@tanstack/react-router";
import { lazy, Suspense, useEffect } from "react";
import { errorOf, left, signedOut } from "./api/client";
import { useMe } from "./api/queries";
import { Empty, ErrorNote, Loading, Page } from "./base/parts";
import { useStore } from "./base/store";
import { Cluster } from "./pages/Cluster";
import { Command } from "./pages/Command";
import { Executions } from "./pages/Executions";
import { Home } from "./pages/Home";
import { JobPage } from "./pages/Job";
import { Jobs } from "./pages/Jobs";
import { Keys } from "./pages/Keys";
import { NodePage, Nodes } from "./pages/Nodes";
import { Profile } from "./pages/Profile";
import { ProjectSettings } from "./pages/ProjectSettings";
import { Projects } from "./pages/Projects";
import { RunnerPage, Runners } from "./pages/Runners";
import { Schedules } from "./pages/Schedules";
import { SignIn, SignInAgain } from "./pages/SignIn";
import { Shell } from "./shell/Shell";
import { t } from "./text/t";

const ExecutionPage = lazy(() => import("./pages/Execution").then((m) => ({ default: m.ExecutionPage })));

// Gate shows the pages to who is signed in, and asks everyone else to.
function Gate() {
  const me = useMe();
  const out = useStore(signedOut);
  const gone = useStore(left);
  // Another person begins with pages of his own.
  if (me.data && !gone)
    return (
      <>
        <Shell key={me.data.id} />
        {out ? <SignInAgain me={me.data} /> : null}
      </>
    );
  if (out || gone || (me.error && errorOf(me.error).code === "unauthenticated")) return <ToSignIn />;
  if (me.error)
    return (
      <div className="page">
        <ErrorNote error={me.error} onRetry={() => void me.refetch()} />
      </div>
    );
  return <Loading />;
}

// ToSignIn goes there once: while it is on its way the address is already another.
function ToSignIn() {
  const navigate = useNavigate();
  useEffect(() => {
    const here = window.location.pathname + window.location.search;
    void navigate({ to: "/sign-in", search: (here === "/" ? {} : { next: here }) as never, replace: true });
  }, [navigate]);
  return <Loading />;
}

const root = createRootRoute({ component: Outlet });
const signIn = createRoute({ getParentRoute: () => root, path: "/sign-in", component: SignIn });
const gate = createRoute({
  getParentRoute: () => root,
  id: "gate",
  component: Gate,
  // A sign-in link works wherever it points.
  beforeLoad: ({ search, location }) => {
    const { link, ...rest } = search as { link?: string };
    const next = location.pathname + stringifySearch(rest);
    if (link) throw redirect({ to: "/sign-in", search: { link, next } as never, replace: true });
  },
});
const home = createRoute({ getParentRoute: () => gate, path: "/", component: Home });
const executions = createRoute({ getParentRoute: () => gate, path: "/executions", component: Executions });
const execution = createRoute({
  getParentRoute: () => gate,
  path: "/executions/$id",
  component: () => (
    <Suspense fallback={<Loading />}>
      <ExecutionPage />
    </Suspense>
  ),
});
const projects = createRoute({ getParentRoute: () => gate, path: "/projects", component: Projects });
const project = createRoute({
  getParentRoute: () => gate,
  path: "/projects/$project",
  beforeLoad: ({ params }) => {
    throw redirect({ to: "/projects/$project/jobs", params, replace: true });
  },
});
const jobs = createRoute({ getParentRoute: () => gate, path: "/projects/$project/jobs", component: Jobs });
const job = createRoute({ getParentRoute: () => gate, path: "/projects/$project/jobs/$job", component: JobPage });
const command = createRoute({ getParentRoute: () => gate, path: "/projects/$project/command", component: Command });
const nodes = createRoute({ getParentRoute: () => gate, path: "/projects/$project/nodes", component: Nodes });
const node = createRoute({ getParentRoute: () => gate, path: "/projects/$project/nodes/$node", component: NodePage });
const schedules = createRoute({
  getParentRoute: () => gate,
  path: "/projects/$project/schedules",
  component: Schedules,
});
const settings = createRoute({
  getParentRoute: () => gate,
  path: "/projects/$project/settings",
  component: ProjectSettings,
});
const runners = createRoute({ getParentRoute: () => gate, path: "/runners", component: Runners });
const runner = createRoute({ getParentRoute: () => gate, path: "/runners/$id", component: RunnerPage });
const keyStore = createRoute({ getParentRoute: () => gate, path: "/keys", component: Keys });
const cluster = createRoute({ getParentRoute: () => gate, path: "/cluster", component: Cluster });
// An address that is no page is told within the frame, so that its menu leads on.
const nowhere = createRoute({
  getParentRoute: () => gate,
  path: "$",
  component: () => (
    <Page title={t("notFound.title")}>
      <Empty title={t("notFound.text")}>
        <Link to="/">{t("nav.home")}</Link>
      </Empty>
    </Page>
  ),
});
const profile = createRoute({ getParentRoute: () => gate, path: "/profile", component: Profile });

// Every search value is plain text: addresses are typed, pasted and read by people.
export function parseSearch(text: string): Record<string, string> {
  return Object.fromEntries(new URLSearchParams(text));
}

export function stringifySearch(search: Record<string, unknown>): string {
  const out = new URLSearchParams();
  for (const [name, value] of Object.entries(search)) {
    if (value !== undefined && value !== null && value !== "") out.set(name, String(value));
  }
  return out.size > 0 ? `?${out}` : "";
}

export const router = createRouter({
  routeTree: root.addChildren([
    signIn,
    gate.addChildren([
      home,
      executions,
      execution,
      projects,
      project,
      jobs,
      job,
      command,
      nodes,
      node,
      schedules,
      settings,
      runners,
      runner,
      keyStore,
      cluster,
      profile,
      nowhere,
    ]),
  ]),
  parseSearch,
  stringifySearch,
  defaultPreload: false,
  scrollRestoration: true,
});

declare module "@tanstack/react-router" {
  interface Register {
    router: typeof router;
  }
}
