// @vitest-environment jsdom
import { expect, test } from "vitest";
import type { Execution, JobOption, JobSummary } from "../api/client";
import { parseSearch, stringifySearch } from "../router";
import { matches } from "./ExecutionList";
import { guessFormat } from "./Nodes";
import { formAddress, initialValues, missing, split, toSend } from "./options";
import { safeNext } from "./SignIn";
import { flatten, treeOf } from "./tree";

const option = (o: Partial<JobOption> & { name: string }): JobOption => ({
  required: false,
  enforced: false,
  secure: false,
  valueExposed: false,
  multivalued: false,
  hidden: false,
  ...o,
});

test("addresses win over the last run, and that over the default; secure values come from nowhere", () => {
  const options = [
    option({ name: "a", value: "1" }),
    option({ name: "b", value: "1" }),
    option({ name: "c", value: "1" }),
    option({ name: "s", secure: true }),
  ];
  const last = { options: { a: "2", b: "2", s: "leak" } } as unknown as Execution;
  expect(initialValues(options, last, new URLSearchParams("opt.a=3&opt.s=leak"))).toEqual({ a: "3", b: "2", c: "1" });
});

test("what is sent leaves the hub's defaults to the hub, but an emptied one is told", () => {
  const options = [
    option({ name: "a", value: "1" }),
    option({ name: "b" }),
    option({ name: "s", secure: true, storagePath: "keys/x" }),
  ];
  expect(toSend(options, { a: "", b: "", s: "" })).toEqual({ a: "" });
  expect(toSend(options, { a: "1", b: "2", s: "3" })).toEqual({ a: "1", b: "2", s: "3" });
});

test("a required option with a stored key needs no value", () => {
  const options = [
    option({ name: "a", required: true }),
    option({ name: "s", required: true, secure: true, storagePath: "keys/x" }),
    option({ name: "h", required: true, hidden: true }),
  ];
  expect(missing(options, {})).toEqual(["a"]);
});

test("several values are joined by the option's own delimiter", () => {
  expect(split(option({ name: "m", delimiter: ";" }), "a;b")).toEqual(["a", "b"]);
  expect(split(option({ name: "m" }), "")).toEqual([]);
});

test("a form's link has no secure value in it", () => {
  const options = [option({ name: "a", value: "1" }), option({ name: "s", secure: true })];
  const url = new URL(formAddress("http://h/projects/p/jobs/j", options, { a: "x y&z", s: "secret" }, "tags: web"));
  expect(url.searchParams.get("opt.a")).toBe("x y&z");
  expect(url.searchParams.get("filter")).toBe("tags: web");
  expect(url.toString()).not.toContain("secret");
});

test("a link to a form that runs on failed nodes alone runs there alone, with the values it shows", () => {
  const options = [option({ name: "a", value: "1" })];
  const url = new URL(formAddress("http://h/projects/p/jobs/j", options, { a: "1" }, "tags: web", "7"));
  expect(Object.fromEntries(url.searchParams)).toEqual({
    "opt.a": "1",
    filter: "tags: web",
    from: "7",
    only: "failed",
  });
});

test("a link to a form that runs on the nodes that a start named leads there", () => {
  const url = new URL(formAddress("http://h/projects/p/jobs/j", [], {}, "tags: web", "7", false));
  expect(Object.fromEntries(url.searchParams)).toEqual({ filter: "tags: web", from: "7" });
});

test.each([
  ["/runners?x=1", "/runners?x=1"],
  ["//evil.example", "/"],
  ["/\\evil.example", "/"],
  ["https://evil.example", "/"],
  ["javascript:alert(1)", "/"],
])("after signing in %s leads to %s", (next, want) => expect(safeNext(next)).toBe(want));

test("search parameters stay text", () => {
  expect(parseSearch("?link=123&filter=tags%3A+web%2Bdc1")).toEqual({ link: "123", filter: "tags: web+dc1" });
  expect(stringifySearch({ a: "1e5", b: undefined, c: "" })).toBe("?a=1e5");
});

test("formats are told by name, then by the first character", () => {
  expect(guessFormat("n.yml", "{")).toBe("application/yaml");
  expect(guessFormat("", ' [{"a":1}]')).toBe("application/json");
  expect(guessFormat("", "<project/>")).toBe("application/xml");
  expect(guessFormat("", "web1:\n  hostname: a\n")).toBe("application/yaml");
});

test("the tree puts groups before jobs, nested, with counts", () => {
  const job = (group: string, name: string) => ({ id: `${group}/${name}`, group, name }) as JobSummary;
  const tree = treeOf([job("ops/nightly", "b"), job("", "z"), job("ops", "a"), job("ops/nightly", "a")]);
  const items = flatten(tree, new Set());
  expect(
    items.map((i) => `${i.depth}${i.kind === "group" ? `[${i.group.name} ${i.group.count}]` : i.job.name}`),
  ).toEqual(["0[ops 3]", "1[nightly 2]", "2a", "2b", "1a", "0z"]);
  expect(flatten(tree, new Set(["ops"])).length).toBe(2);
});

test("rows belong to a list by state, project and job", () => {
  const e = { status: "failed", project: "web", job: { id: "j1" } } as Execution;
  expect(matches(e, { status: ["failed"], project: "web", job: "j1" })).toBe(true);
  expect(matches(e, { status: ["running"] })).toBe(false);
  expect(matches(e, { project: "x" })).toBe(false);
});
