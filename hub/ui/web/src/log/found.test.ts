// @vitest-environment jsdom
import { afterEach, expect, test, vi } from "vitest";
import { LogSearch } from "./found";

afterEach(() => vi.unstubAllGlobals());

const match = (n: number) => ({ cursor: `c${n}`, before: `b${n}`, node: "a", line: n, parts: [] });

test("a search goes on until the hub has looked through all, from page to page", async () => {
  const asked: URL[] = [];
  const pages = [
    { items: [], next: "one", reached: 50, lines: 100 },
    { items: [match(70)], next: "two", reached: 80, lines: 100 },
    { items: [match(90)], reached: 100, lines: 100 },
  ];
  vi.stubGlobal("fetch", async (request: Request) => {
    asked.push(new URL(request.url));
    return new Response(JSON.stringify(pages[asked.length - 1]), { headers: { "Content-Type": "application/json" } });
  });
  const search = new LogSearch({ execution: "7", node: "web1", step: 2 });
  await search.start("disk full", true);
  const found = search.found.get();
  expect(found.items.map((m) => m.before)).toEqual(["b70", "b90"]);
  expect(found).toMatchObject({ words: "disk full", busy: false, next: "", part: 1 });
  expect(asked.map((u) => u.searchParams.get("cursor"))).toEqual([null, "one", "two"]);
  expect(asked[0]?.searchParams.get("q")).toBe("disk full");
  expect(asked[0]?.searchParams.get("regex")).toBe("true");
  expect(asked[0]?.searchParams.get("node")).toBe("web1");
  search.close();
  expect(search.found.get().words).toBe("");
});

test("what the hub refuses is told", async () => {
  vi.stubGlobal("fetch", async () => {
    const body = { title: "bad", status: 400, code: "invalid", detail: "The regular expression cannot be read." };
    return new Response(JSON.stringify(body), { status: 400, headers: { "Content-Type": "application/problem+json" } });
  });
  const search = new LogSearch({ execution: "7", node: "", step: -1 });
  await search.start("(", true);
  expect(search.found.get().busy).toBe(false);
  expect(search.found.get().error?.message).toContain("regular expression");
});
