// @vitest-environment jsdom
import { MantineProvider } from "@mantine/core";
import { render, screen } from "@testing-library/react";
import { expect, test, vi } from "vitest";
import { theme } from "../theme";
import { FoundList } from "./FoundList";
import { LogSearch } from "./found";

const match = (n: number) => ({ cursor: `c${n}`, before: `b${n}`, node: "a", line: n, parts: [{ text: `line ${n}` }] });

const list = (search: LogSearch, at: string) => (
  <MantineProvider theme={theme} env="test">
    <FoundList search={search} at={at} onOpen={() => {}} onClose={() => {}} />
  </MantineProvider>
);

function found(answer: unknown, status = 200) {
  vi.stubGlobal(
    "fetch",
    async () => new Response(JSON.stringify(answer), { status, headers: { "Content-Type": "application/json" } }),
  );
  return new LogSearch({ execution: "7", node: "", step: -1 });
}

test("one line after the other is shown where scrolling answers with a promise", async () => {
  const scrolled = vi.spyOn(Element.prototype, "scrollIntoView").mockImplementation((() => Promise.resolve()) as never);
  const search = found({ items: [match(1), match(2)], reached: 9, lines: 9 });
  await search.start("line", false);
  const { rerender, unmount } = render(list(search, "b1"));
  rerender(list(search, "b2"));
  expect(screen.getByText("line 2").closest("button")?.getAttribute("aria-current")).toBe("true");
  unmount();
  expect(scrolled).toHaveBeenCalledTimes(2);
  scrolled.mockRestore();
});

test("a search that failed has not found nothing, and one that goes on then is no error any more", async () => {
  const search = found({ code: "invalid", detail: "The regular expression cannot be read." }, 400);
  await search.start("(", true);
  render(list(search, ""));
  screen.getByText("The regular expression cannot be read.");
  expect(screen.queryByText("Nothing found in the whole log.")).toBeNull();
  found({ items: [], reached: 9, lines: 9 });
  await search.more();
  expect(search.found.get().error).toBeUndefined();
});
