// @vitest-environment jsdom
import { waitFor } from "@testing-library/react";
import { expect, test } from "vitest";
import { open } from "../test-page";

const me = { id: "u1", name: "mara", admin: true, version: "1.0", member: "m1" };

test("a sign-in link keeps what else its address says", async () => {
  const asked = open("/executions?link=once&status=failed,unknown&project=a%26b", { "POST /api/v1/sessions": me });
  await waitFor(() => expect(window.location.pathname).toBe("/executions"));
  await waitFor(() => expect(asked.some((a) => a.query.get("status") === "failed,unknown")).toBe(true));
  expect(new URLSearchParams(window.location.search).get("project")).toBe("a&b");
  expect(window.location.search).not.toContain("once");
  expect(asked.find((a) => a.method === "POST")?.body).toEqual({ link: "once" });
});
