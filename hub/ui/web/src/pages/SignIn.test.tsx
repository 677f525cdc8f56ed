// @vitest-environment jsdom
import { focusManager } from "@tanstack/react-query";
import { fireEvent, screen, waitFor } from "@testing-library/react";
import { expect, test, vi } from "vitest";
import { signedOut } from "../api/client";
import { type Asked, open, refused } from "../test-page";

const me = { id: "u1", name: "mara", admin: true, version: "1.0", member: "m1" };

test("a sign-in link keeps what else its address says", async () => {
  const asked = open("/executions?link=once&status=failed,unknown&project=a%26b", { "POST /api/v1/sessions": me });
  await waitFor(() => expect(window.location.pathname).toBe("/executions"));
  await waitFor(() => expect(asked.some((a) => a.query.get("status") === "failed,unknown")).toBe(true));
  expect(new URLSearchParams(window.location.search).get("project")).toBe("a&b");
  expect(window.location.search).not.toContain("once");
  expect(asked.find((a) => a.method === "POST")?.body).toEqual({ link: "once" });
});

test("what is typed stays while a session ends and a person signs in again", async () => {
  let ended = false;
  const sessions: unknown[] = [];
  open("/projects", {
    "GET /api/v1/me": me,
    "POST /api/v1/projects": () =>
      ended ? refused(401, "unauthenticated", "The session has ended.") : { id: "p2", name: "shop" },
    "POST /api/v1/sessions": ({ body }: Asked) => {
      sessions.push(body);
      ended = false;
      return me;
    },
  });
  fireEvent.click(await screen.findByText("New project"));
  fireEvent.change(await screen.findByLabelText("Name"), { target: { value: "shop" } });
  ended = true;
  fireEvent.click(screen.getByText("Create"));
  const password = await screen.findByLabelText("Password");
  fireEvent.keyDown(password, { key: "Escape" });
  fireEvent.change(password, { target: { value: "secret" } });
  fireEvent.click(screen.getByRole("button", { name: "Sign in" }));
  await waitFor(() => expect(screen.queryByLabelText("Password")).toBeNull());
  expect(sessions).toEqual([{ user: "mara", password: "secret" }]);
  expect((screen.getByLabelText("Name") as HTMLInputElement).value).toBe("shop");
  fireEvent.click(screen.getByText("Create"));
  await waitFor(() => expect(window.location.pathname).toBe("/projects/shop/jobs"));
});

// asTwo is a hub that lists a key for mara, and for whoever comes after her never answers.
function asTwo() {
  let now = me;
  const asked = open("/keys", {
    "GET /api/v1/me": () => now,
    "GET /api/v1/keys": () =>
      now === me
        ? { items: [{ path: "keys/of-mara", type: "password", size: 8, revision: 1 }] }
        : new Promise(() => {}),
    "POST /api/v1/sessions": () => now,
  });
  return {
    asked,
    become: () => {
      now = { ...me, id: "u2", name: "noor" };
    },
  };
}

test("who signs in over the page of another sees nothing of it", async () => {
  const { asked, become } = asTwo();
  await screen.findByText("keys/of-mara");
  signedOut.set(true);
  fireEvent.change(await screen.findByLabelText("Password"), { target: { value: "secret" } });
  become();
  const before = asked.length;
  fireEvent.click(screen.getByRole("button", { name: "Sign in" }));
  await screen.findByText("noor");
  expect(screen.queryByText("keys/of-mara")).toBeNull();
  await waitFor(() => expect(asked.slice(before).some((a) => a.path === "/api/v1/keys")).toBe(true));
});

test("who signed in in another window sees nothing of the one whose page this was", async () => {
  const { become } = asTwo();
  await screen.findByText("keys/of-mara");
  become();
  vi.spyOn(Date, "now").mockReturnValue(Date.now() + 120_000);
  focusManager.setFocused(false);
  focusManager.setFocused(true);
  await screen.findByText("noor");
  expect(screen.queryByText("keys/of-mara")).toBeNull();
  vi.restoreAllMocks();
});
