// @vitest-environment jsdom
import { act, renderHook } from "@testing-library/react";
import { expect, test } from "vitest";
import { ApiError } from "./client";
import { useRequestKey } from "./request";

test.each([
  ["invalid", 400, false],
  ["conflict", 409, false],
  ["internal", 500, false],
  ["unavailable", 503, true],
  ["unreachable", 0, true],
])("after %s (%d) the key stays the same: %s", (code, status, stays) => {
  const { result } = renderHook(useRequestKey);
  const before = result.current.key;
  act(() => result.current.renew(new ApiError(code, status, "no")));
  expect(result.current.key === before).toBe(stays);
});
