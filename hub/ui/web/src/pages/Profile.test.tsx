// @vitest-environment jsdom
import { fireEvent, screen, waitFor } from "@testing-library/react";
import { expect, test } from "vitest";
import { signedOut } from "../api/client";
import { open, refused } from "../test-page";

test("a token that was refused is asked for anew, not repeated", async () => {
  let tries = 0;
  const asked = open("/profile", {
    "GET /api/v1/tokens": { items: [] },
    "POST /api/v1/tokens": () =>
      tries++ === 0 ? refused(409, "conflict", "There is a token ci.") : { id: "t1", name: "cd", secret: "flt_shown" },
  });
  fireEvent.click(await screen.findByText("New token"));
  fireEvent.change(await screen.findByLabelText("Name"), { target: { value: "ci" } });
  fireEvent.click(screen.getByText("Create"));
  await screen.findByText("There is a token ci.");
  fireEvent.change(screen.getByLabelText("Name"), { target: { value: "cd" } });
  fireEvent.click(screen.getByText("Create"));
  await screen.findByText("flt_shown");
  const keys = asked.filter((a) => a.method === "POST").map((a) => a.key);
  await waitFor(() => expect(keys).toHaveLength(2));
  expect(keys[0]).not.toBe(keys[1]);
});

test("who could not be signed out is not told that he is", async () => {
  let away = true;
  open("/profile", {
    "GET /api/v1/tokens": { items: [] },
    "DELETE /api/v1/sessions/current": () => (away ? refused(503, "unavailable", "The database is away.") : {}),
  });
  fireEvent.click(await screen.findByText("Sign out"));
  await screen.findByText("The database is away.");
  expect(signedOut.get()).toBe(false);
  away = false;
  fireEvent.click(screen.getByText("Sign out"));
  await waitFor(() => expect(signedOut.get()).toBe(true));
});
