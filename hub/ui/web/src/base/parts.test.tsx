// @vitest-environment jsdom
import { MantineProvider } from "@mantine/core";
import { act, render, screen } from "@testing-library/react";
import { Profiler } from "react";
import { expect, test, vi } from "vitest";
import { theme } from "../theme";
import { Ago } from "./parts";

test("how long ago something was is painted when its words change alone", () => {
  vi.useFakeTimers();
  let painted = 0;
  render(
    <MantineProvider theme={theme} env="test">
      <Profiler id="ago" onRender={() => painted++}>
        <Ago at={new Date(Date.now() - 3_600_000).toISOString()} />
      </Profiler>
    </MantineProvider>,
  );
  screen.getByText("1 hr. ago");
  painted = 0;
  act(() => void vi.advanceTimersByTime(60_000));
  expect(painted).toBe(0);
  act(() => void vi.advanceTimersByTime(3_600_000));
  screen.getByText("2 hr. ago");
  vi.useRealTimers();
});
