// A pretend hub for work on the pages: made-up data behind the same contract, the built
// front end under the same policy. Never shipped. Usage: npm run stub [port]
//
//   /stub/cut?seconds=5   cuts all sockets and refuses everything for so long
//   /stub/enrol           lets the newest open token be used, and its runner connect
import { existsSync, readFileSync, statSync } from "node:fs";
import { createServer } from "node:http";
import { extname, join } from "node:path";
import { WebSocketServer } from "ws";

const port = Number(process.argv[2] ?? 8449);
const dist = join(import.meta.dirname, "../../dist");
const types = {
  ".js": "text/javascript",
  ".css": "text/css",
  ".svg": "image/svg+xml",
  ".woff2": "font/woff2",
  ".html": "text/html",
};

const iso = (ms) => new Date(ms).toISOString();
const now = () => Date.now();
const start = now();
let signedIn = process.env.STUB_SIGNED_OUT === undefined;
let cutUntil = 0;

const projects = ["plant-north", "web", "dc2-storage"].map((name, i) => ({
  id: `p${i}`,
  name,
  description: [
    "Line controllers and gateways of the northern plant",
    "The shop and its databases",
    "Storage nodes in the second data centre",
  ][i],
  settings: {},
  routes: [],
  revision: 1,
  createdAt: iso(start - 9e8),
  updatedAt: iso(start - 4e7 * (i + 1)),
}));

const nodes = Array.from({ length: 1000 }, (_, i) => ({
  name:
    i === 7
      ? "db-with-a-very-long-name-in-rack-14.north.example.internal"
      : `${i % 5 === 0 ? "db" : "web"}${String(i + 1).padStart(2, "0")}`,
  hostname: `10.20.${Math.floor(i / 250)}.${(i % 250) + 1}`,
  username: "deploy",
  description: i % 5 === 0 ? "PostgreSQL 16, standby" : "",
  tags: i % 5 === 0 ? ["db", "dc1"] : ["web", i % 2 ? "dc1" : "dc2"],
  attributes: { osFamily: "unix", "node-executor": "ssh", "ssh-key-storage-path": "keys/project/web/deploy" },
}));

const jobs = [
  ["health check", "ops", "Asks every service whether it is well, and how full the disks are."],
  ["rotate logs", "ops/nightly", "Rotates and compresses logs older than a day."],
  ["vacuum", "ops/nightly", "Vacuums tables that need it."],
  [
    "rolling restart",
    "ops",
    "Restarts the web tier, a few nodes at a time.\nStops at the first node that does not come back.",
  ],
  ["deploy", "release", "Installs a release and checks it."],
  ["rollback", "release", "Goes back to the release before."],
  ["who is there", "", "Prints host name, kernel and uptime."],
].map(([name, group, description], i) => ({
  id: `j${i}`,
  uuid: `0b7f4a52-6c1e-4d0c-9d3e-${String(i).padStart(12, "0")}`,
  project: "web",
  name,
  group,
  description,
  revision: i + 1,
  updatedAt: iso(start - 3.1e7 * (i + 1)),
}));

const option = (o) => ({
  required: false,
  enforced: false,
  secure: false,
  valueExposed: false,
  multivalued: false,
  hidden: false,
  ...o,
});
const jobDetail = (j) => ({
  ...j,
  logLevel: "INFO",
  timeout: "30m",
  strategy: "node-first",
  keepgoing: false,
  runnerTags: ["dc1"],
  runnerTimeoutMs: 600000,
  createdAt: iso(start - 8e8),
  options:
    j.id === "j6"
      ? []
      : [
          option({
            name: "release",
            label: "Release",
            description: "Tag or commit to install",
            required: true,
            regex: "v[0-9]+\\.[0-9]+\\.[0-9]+",
            value: "v4.12.0",
          }),
          option({
            name: "environment",
            description: "Where it goes",
            enforced: true,
            required: true,
            values: ["staging", "production", "canary"],
            value: "staging",
          }),
          option({
            name: "services",
            description: "What to restart",
            multivalued: true,
            enforced: true,
            delimiter: ",",
            values: ["nginx", "app", "worker", "cron"],
            value: "app,worker",
          }),
          option({
            name: "db_password",
            label: "Database password",
            secure: true,
            storagePath: "keys/project/web/db-password",
          }),
          option({ name: "ticket", description: "Change ticket, for the record" }),
        ],
  steps: [
    {
      position: 1,
      kind: "exec",
      label: "check disk space",
      description: "check disk space",
      exec: "df -h / /var && test $(df --output=pcent /var | tail -1 | tr -dc 0-9) -lt 90",
      idempotent: true,
      continueOnUnknown: false,
      retries: 2,
      retryDelayMs: 5000,
      timeoutMs: 30000,
    },
    {
      position: 2,
      kind: "script",
      label: "install",
      description: "install the release",
      script:
        '#!/bin/sh\nset -eu\ncd /srv/app\n./fetch.sh "@option.release@"\nln -sfn "releases/@option.release@" current\n',
      interpreter: "/bin/sh",
      args: "--release ${option.release}",
      idempotent: false,
      continueOnUnknown: false,
      retries: 0,
      errorHandler: {
        position: 1,
        kind: "exec",
        label: "put the old one back",
        exec: "ln -sfn previous /srv/app/current",
        idempotent: true,
        continueOnUnknown: false,
        retries: 0,
      },
    },
    {
      position: 3,
      kind: "exec",
      label: "systemctl restart app",
      exec: "sudo systemctl restart app && ./wait-ready.sh 30",
      idempotent: false,
      probe: "systemctl is-active app",
      continueOnUnknown: false,
      retries: 0,
    },
  ],
  dispatch: {
    nodes: true,
    filter: "tags: web",
    excludePrecedence: true,
    threadcount: "4",
    keepgoing: true,
    rankDescending: false,
    successOnEmpty: false,
    editable: true,
  },
  source: `- name: ${j.name}\n  group: ${j.group}\n  description: ${JSON.stringify(j.description)}\n  nodefilters:\n    filter: 'tags: web'\n    dispatch:\n      threadcount: 4\n      keepgoing: true\n  sequence:\n    strategy: node-first\n    commands:\n      - exec: df -h / /var\n`,
});

const steps3 = [
  { position: 0, kind: "exec", label: "check disk space" },
  { position: 1, kind: "script", label: "install the release" },
  { position: 2, kind: "exec", label: "systemctl restart app" },
];
let nextNumber = 1041;
const executions = [];
function execution(e) {
  const n = nextNumber++;
  const full = {
    id: `e${n}`,
    number: n,
    project: "web",
    name: "release/deploy",
    job: { id: "j4", name: "deploy", group: "release", revision: 5 },
    status: "succeeded",
    logComplete: true,
    createdAt: iso(start - 60000),
    startedAt: iso(start - 59000),
    nodes: {},
    url: `http://x/executions/${n}`,
    startedBy: "mara",
    threadcount: 4,
    keepgoing: true,
    strategy: "node-first",
    steps: steps3,
    cancelRequested: false,
    nodeFilter: "tags: web",
    ...e,
  };
  executions.unshift(full);
  return full;
}
const old = [
  "succeeded",
  "succeeded",
  "failed",
  "succeeded",
  "cancelled",
  "succeeded",
  "timed_out",
  "succeeded",
  "unknown",
  "succeeded",
  "succeeded",
];
old.forEach((status, i) => {
  const at = start - (old.length - i) * 2.7e6;
  const counts = {
    failed: { failed: 2, succeeded: 14, skipped: 1 },
    unknown: { unknown: 1, failed: 1, succeeded: 17 },
    cancelled: { cancelled: 12, succeeded: 8 },
    timed_out: { timed_out: 1, succeeded: 3 },
  }[status] ?? { succeeded: 20 };
  execution({
    status,
    nodes: counts,
    name: i % 3 === 0 ? "ops/health check" : i % 3 === 1 ? "release/deploy" : "uptime; uname -r",
    job: i % 3 === 2 ? undefined : { id: "j0", name: "x", group: "ops", revision: 1 },
    createdAt: iso(at),
    startedAt: iso(at + 300),
    endedAt: iso(at + 34000 + i * 61000),
    startedBy: i % 2 ? "mara" : "oncall",
    ...(status === "cancelled" ? { cancelledBy: "oncall" } : {}),
    options: { release: "v4.12.0", environment: "staging", services: "app,worker" },
    secureOptions: ["db_password"],
  });
});
execution({
  status: "queued",
  name: "ops/nightly/vacuum",
  project: "dc2-storage",
  nodes: { queued: 12 },
  startedAt: undefined,
  createdAt: iso(start - 190000),
  waitingFor: { kind: "runner", since: iso(start - 189000), message: "no connected runner has tags dc2" },
  logComplete: false,
});
const big = execution({
  status: "running",
  name: "ops/health check",
  nodes: { running: 50, queued: 700, succeeded: 240, failed: 10 },
  startedAt: iso(start - 40000),
  logComplete: false,
});
const live = execution({
  status: "running",
  nodes: { running: 4, queued: 14, succeeded: 2 },
  startedAt: iso(start - 8000),
  logComplete: false,
  options: { release: "v4.12.0", environment: "production" },
  secureOptions: ["db_password"],
});

const cellEnd = {
  failed: { code: 1, message: "exit status 1", endProven: true },
  timed_out: { message: "ended after 30 s, the step's timeout", reason: "step_timeout", endProven: true },
  unknown: {
    message: "the runner was killed while this ran; whether it finished is not known",
    reason: "runner_restart",
    endProven: false,
    lateStatus: "succeeded",
  },
  cancelled: { signal: "TERM", endProven: true, message: "cancelled by oncall" },
};
function matrix(e) {
  const rows = [];
  let i = 0;
  for (const [status, n] of Object.entries(e.nodes).sort((a, b) => a[0].localeCompare(b[0]))) {
    for (let k = 0; k < n; k++, i++) {
      const done =
        status === "queued" ? 0 : status === "skipped" ? 0 : status === "succeeded" ? steps3.length : 1 + (i % 2);
      const cells = [];
      for (let s = 0; s < done; s++) {
        const last = s === done - 1;
        const st = last ? status : "succeeded";
        cells.push({
          step: s,
          try: 0,
          status: st,
          code: st === "succeeded" ? 0 : undefined,
          endProven: true,
          notStarted: false,
          startedAt: e.startedAt,
          ...(st === "running"
            ? { endProven: false }
            : { endedAt: iso(Date.parse(e.startedAt) + 700 + ((i * 37 + s * 911) % 4000)) }),
          ...(cellEnd[st] ?? {}),
        });
      }
      rows.push({
        node: nodes[i].name,
        position: i,
        status,
        runner: i % 2 ? "north-1" : "north-2",
        runnerId: i % 2 ? "r0" : "r1",
        steps: cells,
      });
    }
  }
  return rows
    .sort((a, b) => a.node.localeCompare(b.node, "en", { numeric: true }))
    .map((r, position) => ({ ...r, position }));
}

const words = [
  "checking release v4.12.0",
  "\x1b[32mok\x1b[0m   /srv/app 41% used",
  "fetching layer 3/7 \x1b[36m#######\x1b[0m",
  "\x1b[33mwarning:\x1b[0m deprecated key cache.ttl in app.toml",
  "restarting app.service",
  "waiting for port 8080",
  "\x1b[1;32mready\x1b[0m after 1.3 s",
  "GET /health 200 4ms",
  '  File "/srv/app/main.py", line 210, in handle_a_request_that_has_a_rather_long_name(request=<Request id=8f2e>, retries=3, backoff=exponential(0.2, 30))',
  "temp\u202Etxt.exe has zero\u200Bwidth",
  "psql: connecting as app with ********",
];
function line(e, i) {
  const node = nodes[(i * 7) % 20].name;
  const stream = i % 23 === 22 ? "system" : i % 9 === 8 ? "stderr" : "stdout";
  return {
    cursor: String(i + 1),
    node,
    step: i % 3,
    try: 0,
    stream,
    time: iso(Date.parse(e.startedAt ?? e.createdAt) + i * 40),
    line: i,
    text: stream === "system" ? "output was held back for 1.2 s: the hub was slow" : words[i % words.length],
    ...(i % words.length === 10 ? { masked: true } : {}),
  };
}
const logLength = (e) =>
  e === live ? Math.floor((now() - start) / 120) + 60 : e === big ? 60000 : e.status === "queued" ? 0 : 5321;
const matches = (q) => (l) =>
  (!q.get("node") || l.node === q.get("node")) &&
  (!q.get("step") || q.get("step") === "-1" || l.step === Number(q.get("step")));

const runners = [
  { name: "north-1", state: "connected", connected: true, live: 3, tags: ["dc1", "north"] },
  { name: "north-2", state: "connected", connected: true, live: 1, tags: ["dc1", "north"] },
  { name: "dc2-gw", state: "disconnected", connected: false, live: 0, tags: ["dc2"] },
  {
    name: "lab",
    state: "quarantined",
    connected: true,
    live: 0,
    tags: ["lab"],
    quarantined: "two machines use this runner's identity",
  },
].map((r, i) => ({
  id: `r${i}`,
  projects: i === 3 ? ["web"] : [],
  version: "0.1.0",
  os: "linux",
  arch: "amd64",
  hostname: `${r.name}.example`,
  slots: 20,
  revision: 1,
  enrolledAt: iso(start - 5e8),
  lastSeenAt: iso(start - (r.connected ? 500 : 5.4e6)),
  certificateExpiresAt: iso(start + 2e9),
  ...r,
}));
const tokens = [];
const keyRows = [
  ["keys/project/web/deploy", "private-key", 411],
  ["keys/project/web/db-password", "password", 24],
  ["keys/shared/jump.pub", "public-key", 98],
].map(([path, type, size]) => ({
  path,
  type,
  size,
  revision: 1,
  createdBy: "mara",
  createdAt: iso(start - 1e8),
  updatedAt: iso(start - 1e8),
}));
const own = [
  { id: "t1", name: "laptop", createdAt: iso(start - 1e9), expiresAt: iso(start + 4e9), lastUsedAt: iso(start - 1e6) },
];
const me = { id: "u1", name: "mara", admin: true, method: "session", version: "0.1.0", member: "hub-1" };

const listeners = new Set();
const tell = (event) => {
  for (const ws of listeners) ws.send(JSON.stringify({ time: iso(now()), ...event }));
};
setInterval(() => {
  const n = live.nodes;
  if (live.status !== "running") return;
  if (n.queued > 0) {
    n.queued--;
    n.succeeded++;
  }
  tell({ type: "execution", execution: live });
}, 2500).unref();
if (process.env.STUB_NEW)
  setInterval(
    () =>
      tell({
        type: "execution",
        execution: execution({ status: "queued", nodes: { queued: 3 }, startedAt: undefined }),
      }),
    4000,
  ).unref();

const problem = (res, status, code, detail, errors) => {
  res.writeHead(status, { "Content-Type": "application/problem+json" });
  res.end(JSON.stringify({ type: "about:blank", title: "x", status, code, detail, ...(errors ? { errors } : {}) }));
};
const json = (res, body, status = 200) => {
  res.writeHead(status, { "Content-Type": "application/json" });
  res.end(JSON.stringify(body));
};
const paged = (q, items) => {
  const from = Number(q.get("cursor") || 0);
  const limit = Number(q.get("limit") || 100);
  return {
    items: items.slice(from, from + limit),
    ...(from + limit < items.length ? { next: String(from + limit) } : {}),
  };
};
function filterNodes(q) {
  const text = (q.get("filter") ?? "").trim();
  if (/\($/.test(text)) return undefined;
  const tag = /tags:\s*([\w+]+)/.exec(text)?.[1]?.split("+");
  const name = /name:\s*(\S+)/.exec(text)?.[1];
  return nodes
    .slice(0, 1000)
    .filter(
      (n) =>
        (!tag || tag.every((t) => n.tags.includes(t))) &&
        (!name || name.split(",").some((x) => new RegExp(`^${x}$`).test(n.name))),
    );
}

const routes = [
  ["GET", /^\/me$/, (_, res) => (signedIn ? json(res, me) : problem(res, 401, "unauthenticated", "Sign in first."))],
  [
    "POST",
    /^\/sessions$/,
    (r, res) => {
      if (r.body?.password && r.body.password !== "fairlead")
        return problem(res, 401, "unauthenticated", "User or password is wrong.");
      signedIn = true;
      json(res, me, 201);
    },
  ],
  [
    "DELETE",
    /^\/sessions\/current$/,
    (_, res) => {
      signedIn = false;
      res.writeHead(204).end();
    },
  ],
  ["GET", /^\/projects$/, (_, res) => json(res, { items: process.env.STUB_EMPTY ? [] : projects })],
  [
    "POST",
    /^\/projects$/,
    (r, res) => json(res, { ...projects[0], id: `p${projects.length}`, name: r.body.name }, 201),
  ],
  ["GET", /^\/projects\/([^/]+)$/, (r, res) => json(res, projects.find((p) => p.name === r.m[1]) ?? projects[0])],
  [
    "GET",
    /^\/projects\/([^/]+)\/jobs$/,
    (r, res) =>
      json(
        res,
        paged(
          r.q,
          jobs.filter((j) => `${j.group}/${j.name}`.includes(r.q.get("search") ?? "")),
        ),
      ),
  ],
  [
    "POST",
    /^\/projects\/[^/]+\/jobs\/import$/,
    (r, res) =>
      r.text.includes("bad")
        ? problem(res, 400, "invalid", "The file has 2 problems; nothing was imported.", [
            { path: "[0].sequence.commands[2].plugins", message: "not supported yet" },
            { path: "[1].nodefilter", message: "unknown key; did you mean nodefilters?" },
          ])
        : json(res, {
            items: [
              { name: "deploy", group: "release", result: "updated" },
              { name: "new one", group: "", result: "created" },
            ],
            dryRun: false,
            warnings: [],
          }),
  ],
  [
    "GET",
    /^\/projects\/[^/]+\/jobs\/([^/]+)$/,
    (r, res) => {
      const j = jobs.find((x) => x.id === r.m[1]);
      return j ? json(res, jobDetail(j)) : problem(res, 404, "not_found", `There is no job ${r.m[1]} in this project.`);
    },
  ],
  [
    "POST",
    /^\/projects\/[^/]+\/(jobs\/[^/]+\/)?executions$/,
    (r, res) => {
      if (r.body.options?.release === "bad")
        return problem(res, 400, "invalid", "The job was not started: 1 option is wrong.", [
          { path: "options.release", message: "does not match v[0-9]+\\.[0-9]+\\.[0-9]+" },
        ]);
      json(res, execution({ status: "queued", nodes: { queued: 3 }, startedAt: undefined }), 201);
    },
  ],
  [
    "GET",
    /^\/projects\/[^/]+\/nodes$/,
    (r, res) => {
      const found = filterNodes(r.q);
      return found
        ? json(res, { ...paged(r.q, found), total: found.length })
        : problem(res, 400, "invalid", "The node filter ends inside a parenthesis at character 7.");
    },
  ],
  ["PUT", /^\/projects\/[^/]+\/nodes$/, (_, res) => json(res, { nodes: 1000, added: 3, removed: 1 })],
  [
    "GET",
    /^\/projects\/[^/]+\/nodes\/([^/]+)$/,
    (r, res) => json(res, nodes.find((n) => n.name === r.m[1]) ?? nodes[0]),
  ],
  [
    "GET",
    /^\/projects\/[^/]+\/nodes\/[^/]+\/hostkeys$/,
    (_, res) =>
      json(res, {
        items: [
          {
            key: "ssh-ed25519 AAAAC3Nz",
            type: "ssh-ed25519",
            fingerprint: "SHA256:1x0mWVqY4yJ7Jm8o1vU3q1yGm3b9d2a7xX0p1m4Yx2E",
            state: "accepted",
            seenAt: iso(start - 1e8),
          },
          {
            key: "ssh-ed25519 AAAAB3Nz",
            type: "ssh-ed25519",
            fingerprint: "SHA256:ZZ0mWVqY4yJ7Jm8o1vU3q1yGm3b9d2a7xX0p1m4Yx2E",
            state: "conflict",
            seenAt: iso(start - 1e6),
          },
        ],
      }),
  ],
  [
    "GET",
    /^\/executions$/,
    (r, res) => {
      if (process.env.STUB_EMPTY) return json(res, { items: [] });
      const st = r.q.get("status")?.split(",");
      json(
        res,
        paged(
          r.q,
          executions.filter(
            (e) =>
              (!st || st.includes(e.status)) &&
              (!r.q.get("project") || e.project === r.q.get("project")) &&
              (!r.q.get("job") || e.job?.id === r.q.get("job")),
          ),
        ),
      );
    },
  ],
  [
    "GET",
    /^\/executions\/([^/]+)$/,
    (r, res) => {
      const e = find(r.m[1]);
      return e ? json(res, e) : problem(res, 404, "not_found", `There is no execution ${r.m[1]}.`);
    },
  ],
  [
    "POST",
    /^\/executions\/([^/]+)\/cancel$/,
    (r, res) => {
      const e = find(r.m[1]);
      if (!r.body.nodes) Object.assign(e, { status: "cancelling", cancelRequested: true, cancelledBy: "mara" });
      json(res, e);
    },
  ],
  [
    "GET",
    /^\/executions\/([^/]+)\/nodes$/,
    (r, res) => {
      const rows = matrix(find(r.m[1]));
      json(res, { ...paged(r.q, rows), total: rows.length });
    },
  ],
  [
    "GET",
    /^\/executions\/([^/]+)\/log$/,
    (r, res) => {
      const e = find(r.m[1]);
      const n = logLength(e);
      const from = Number(r.q.get("cursor") || 0);
      let lines = Array.from({ length: n - from }, (_, i) => line(e, from + i)).filter(matches(r.q));
      if (r.q.get("tail")) lines = lines.slice(-Number(r.q.get("tail")));
      const max = Number(r.q.get("lines") || 0);
      const more = max > 0 && lines.length > max;
      if (more) lines = lines.slice(0, max);
      res.writeHead(200, { "Content-Type": "application/x-ndjson" });
      res.end(
        [
          ...lines,
          { end: { cursor: lines.at(-1)?.cursor ?? String(n), status: e.status, logComplete: e.logComplete, more } },
        ]
          .map((l) => JSON.stringify(l))
          .join("\n"),
      );
    },
  ],
  ["GET", /^\/runners$/, (_, res) => json(res, { items: process.env.STUB_EMPTY ? [] : runners })],
  [
    "POST",
    /^\/runners\/([^/]+)\/(drain|release|revoke)$/,
    (r, res) => {
      const x = runners.find((y) => y.id === r.m[1]);
      x.state = { drain: "draining", release: "connected", revoke: "revoked" }[r.m[2]];
      delete x.quarantined;
      json(res, x);
    },
  ],
  ["GET", /^\/runners\/tokens$/, (_, res) => json(res, { items: tokens })],
  [
    "POST",
    /^\/runners\/tokens$/,
    (r, res) => {
      const tk = {
        id: `k${tokens.length}`,
        projects: r.body.projects ?? [],
        tags: r.body.tags ?? [],
        createdBy: "mara",
        createdAt: iso(now()),
        expiresAt: iso(now() + (r.body.ttlMs ?? 3.6e6)),
        state: "open",
      };
      tokens.push(tk);
      json(res, { ...tk, token: "flr_01jd9y2m5n_8dJq2mVh5wPz0cTt1rXk7uBn4sLg6eYa.pin.c0ffee42d00d" }, 201);
    },
  ],
  [
    "GET",
    /^\/keys$/,
    (r, res) => json(res, { items: keyRows.filter((k) => k.path.startsWith(r.q.get("prefix") ?? "")) }),
  ],
  ["PUT", /^\/keys\/(.+)$/, (_, res) => json(res, keyRows[0])],
  ["GET", /^\/tokens$/, (_, res) => json(res, { items: own })],
  [
    "POST",
    /^\/tokens$/,
    (r, res) =>
      json(
        res,
        {
          id: "t2",
          name: r.body.name,
          createdAt: iso(now()),
          secret: "flt_01jd9y2m5n_8dJq2mVh5wPz0cTt1rXk7uBn4sLg6eYa",
        },
        201,
      ),
  ],
  [
    "GET",
    /^\/cluster$/,
    (_, res) =>
      json(res, {
        id: "c-7f3a9d",
        incarnation: 1,
        tick: 12345,
        database: "postgres",
        time: iso(now()),
        members: ["hub-1", "hub-2", "hub-3"].map((name, i) => ({
          id: `m${i}`,
          name,
          version: "0.1.0",
          gateway: `10.0.0.${i + 1}:8441`,
          address: `10.0.0.${i + 1}:8441`,
          roles: ["api", "gateway", "scheduler"],
          state: ["active", "active", "dead"][i],
          startedAt: iso(start - 1e8),
          heartbeatAt: iso(now() - [900, 1400, 65000][i]),
          self: i === 0,
        })),
      }),
  ],
];
const find = (id) => executions.find((e) => e.id === id || String(e.number) === id);

const server = createServer(async (req, res) => {
  const url = new URL(req.url, "http://x");
  const chunks = [];
  for await (const c of req) chunks.push(c);
  const text = Buffer.concat(chunks).toString();
  if (url.pathname === "/stub/cut") {
    cutUntil = now() + 1000 * Number(url.searchParams.get("seconds") ?? 5);
    for (const ws of wss.clients) ws.terminate();
    return res.end("cut\n");
  }
  if (now() < cutUntil) return req.socket.destroy();
  if (url.pathname === "/stub/enrol") {
    const tk = tokens.at(-1);
    Object.assign(tk, { state: "used", runnerId: "r9", usedAt: iso(now()) });
    setTimeout(() => {
      runners.push({ ...runners[0], id: "r9", name: "edge-7", hostname: "edge-7.example", live: 0 });
      tell({ type: "runner", runner: runners.at(-1) });
    }, 1500);
    return res.end("ok\n");
  }
  if (url.pathname === "/install/fairlead-runner.sha256") return res.end(`${"3f".repeat(32)}  fairlead-runner\n`);
  if (url.pathname.startsWith("/api/v1/")) {
    const path = decodeURIComponent(url.pathname.slice(7));
    for (const [method, pattern, handle] of routes) {
      const m = pattern.exec(path);
      if (m && method === req.method) {
        let body;
        try {
          body = JSON.parse(text);
        } catch {
          body = {};
        }
        return handle({ m, q: url.searchParams, body, text }, res);
      }
    }
    return problem(res, 404, "not_found", `The stub has no ${req.method} ${path}.`);
  }
  const file = join(dist, url.pathname);
  if (url.pathname !== "/" && existsSync(file) && statSync(file).isFile()) {
    res.writeHead(200, { "Content-Type": types[extname(file)] ?? "application/octet-stream" });
    return res.end(readFileSync(file));
  }
  const nonce = Math.random().toString(36).slice(2) + Math.random().toString(36).slice(2);
  res.writeHead(200, {
    "Content-Type": "text/html",
    "Content-Security-Policy": `default-src 'none'; script-src 'self'; style-src 'self' 'nonce-${nonce}'; img-src 'self' data:; font-src 'self'; connect-src 'self'; manifest-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'`,
  });
  res.end(readFileSync(join(dist, "index.html"), "utf8").replaceAll("__NONCE__", nonce));
});

const wss = new WebSocketServer({ noServer: true });
server.on("upgrade", (req, socket, head) => {
  if (now() < cutUntil) return socket.destroy();
  const url = new URL(req.url, "http://x");
  wss.handleUpgrade(req, socket, head, (ws) => {
    const log = /^\/api\/v1\/executions\/([^/]+)\/log\/stream$/.exec(url.pathname);
    if (!log) {
      listeners.add(ws);
      ws.on("close", () => listeners.delete(ws));
      ws.send(JSON.stringify({ type: "hello", time: iso(now()) }));
      return;
    }
    const e = find(log[1]);
    let at = Number(url.searchParams.get("cursor") || 0);
    const push = () => {
      const n = logLength(e);
      if (n > at) {
        const lines = Array.from({ length: Math.min(1000, n - at) }, (_, i) => line(e, at + i));
        at += lines.length;
        ws.send(JSON.stringify({ type: "lines", lines: lines.filter(matches(url.searchParams)) }));
      }
    };
    push();
    const timer = setInterval(push, 120);
    ws.on("close", () => clearInterval(timer));
  });
});
server.listen(port, "127.0.0.1", () =>
  console.log(`http://127.0.0.1:${port} (${big.number}: big, ${live.number}: live)`),
);
