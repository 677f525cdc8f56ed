// @vitest-environment jsdom
import { fireEvent, screen } from "@testing-library/react";
import { expect, test } from "vitest";
import { type Hub, open, refused, Told } from "../test-page";

const token = {
  id: "t1",
  token: "flr1.secret",
  hubUrl: "https://hub.example:8440",
  projects: [],
  tags: [],
  expiresAt: "2036-11-22T15:04:05Z",
};

async function enrol(hub: Hub) {
  const asked = open("/runners?enrol=1", { "POST /api/v1/runners/tokens": token, ...hub });
  fireEvent.click(await screen.findByText("Create the token"));
  return asked;
}

const sums = `${"a".repeat(64)}  fairlead-runner-linux-arm64\n`;

test("it says which systems the hub has a runner for", async () => {
  await enrol({ "GET /install/SHA256SUMS": sums });
  await screen.findByText(/This hub has the runner for linux\/arm64/);
  await screen.findByText(/Linux aarch64/);
});

test("a hub without a runner and one that fails to say are told apart", async () => {
  await enrol({ "GET /install/SHA256SUMS": refused(404, "not_found", "none") });
  await screen.findByText(/No fairlead-runner lies beside this hub's binary/);
});

test("a list that cannot be read is an error, and can be asked for again", async () => {
  let tries = 0;
  await enrol({ "GET /install/SHA256SUMS": () => (tries++ === 0 ? new Told(502, "bad gateway") : sums) });
  await screen.findByText(/could not be found out/);
  fireEvent.click(screen.getByText("Try again"));
  await screen.findByText(/This hub has the runner for linux\/arm64/);
});

test("a token that was refused is asked for anew", async () => {
  let tries = 0;
  const asked = await enrol({
    "POST /api/v1/runners/tokens": () => (tries++ === 0 ? refused(422, "invalid", "no such project") : token),
    "GET /install/SHA256SUMS": sums,
  });
  await screen.findByText("no such project");
  fireEvent.click(screen.getByText("Create the token"));
  await screen.findByText(/This hub has the runner/);
  const keys = asked.filter((a) => a.method === "POST").map((a) => a.key);
  expect(new Set(keys).size).toBe(2);
});
