// What a person does with the pages, done in Chromium against a real hub, with a real
// runner and nodes reached over SSH. e2e/browser starts it and says by its environment
// where everything is. It waits for what must come, never for time to pass; what the
// nodes print comes when a file of STAGE appears, so that nothing comes by chance.
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { existsSync, openSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { launch, watch } from "./chromium.mjs";

const {
  HUB_URL: hub,
  NO_SOCKETS_URL: noSockets,
  SIGN_IN_LINK: link,
  STAGE: stage,
  NODES_YAML: nodesYAML,
} = process.env;
const enter = (name) => writeFileSync(join(stage, name), "");
const read = (name) => (existsSync(join(stage, name)) ? readFileSync(join(stage, name), "utf8") : "");

const jobsYAML = `
- name: talk
  group: ops
  description: Says three words, each when it is told to.
  options:
  - name: release
    required: true
    regex: '[0-9.]+'
  nodefilters:
    filter: 'name: node.*'
    dispatch: {threadcount: 3, keepgoing: true}
  sequence:
    strategy: node-first
    commands:
    - description: Talk
      script: |
        #!/bin/sh
        for word in one two three; do
          until [ -e '${stage}'/$word ]; do sleep 0.05; done
          echo "$RD_NODE_NAME says $word"
        done
    - exec: '[ \${node.name} != node002 ] || [ -e ${stage}/mended ]'
`;

const browser = await launch();
const context = await browser.newContext({ viewport: { width: 1280, height: 900 } });
const complaints = [];
async function newPage(origin = hub) {
  const page = await context.newPage();
  page.setDefaultTimeout(60_000);
  watch(page, origin, complaints);
  return page;
}
const page = await newPage();
const blocked = await newPage(noSockets);

const cell = (p, at, label) => p.locator(`[data-at="${at}"][aria-label^="${label}"]`).waitFor();
const status = (p, word) => p.locator(".exec-head .status.badge").filter({ hasText: word }).waitFor();
const lines = (p) => p.locator(".log-row .log-text").allTextContents();
const line = (p, text) => p.locator(".log-text").getByText(text, { exact: true }).waitFor();
const title = (p) =>
  p.evaluate(() => (document.activeElement?.id === "page-title" ? document.activeElement.textContent : ""));

const acts = {
  async "a stranger is asked to sign in, and the link does so and leaves the address"() {
    await page.goto(`${hub}/runners`);
    await page.waitForURL(/sign-in\?next=%2Frunners/);
    await page.goto(link);
    await page.getByRole("heading", { name: "Home" }).waitFor();
    assert.doesNotMatch(page.url(), /link/);
    await page.getByText("First steps").waitFor();
  },

  async "nodes are imported and seen"() {
    await page.goto(`${hub}/projects/p/nodes?import=1`);
    await page.getByLabel("File contents").fill(nodesYAML);
    await page.getByRole("button", { name: "Import", exact: true }).click();
    await page.getByText("The project has 3 nodes now").waitFor();
    await page.getByRole("link", { name: "node003" }).waitFor();
  },

  async "a calendar is refused at its line, then made, and who is overtaken is told at once"() {
    const days = (p) => p.getByRole("textbox", { name: "Days" });
    const save = (p) => p.getByRole("button", { name: "Save" }).click();
    await page.goto(`${hub}/projects/p/schedules?new=calendar`);
    await page.getByLabel("Name").fill("holidays");
    await days(page).fill("12-25\nCHRISTMAS");
    await save(page);
    await page.getByRole("button", { name: "Line 2" }).waitFor();
    await days(page).fill("12-25\nSAT..SUN");
    await save(page);
    await page.getByRole("button", { name: "Edit the calendar holidays" }).click();
    const other = await newPage();
    await other.goto(`${hub}/projects/p/schedules?calendar=holidays`);
    await days(other).fill("MON");
    await save(other);
    // By the event: the page itself asks every 30 seconds.
    await page.getByRole("button", { name: "Show what it is now" }).click({ timeout: 20_000 });
    assert.equal(await days(page).inputValue(), "MON");
    await other.close();
  },

  async "a job file that is wrong is refused by path, and the right one is seen"() {
    await page.goto(`${hub}/projects/p/jobs?import=1`);
    await page.getByLabel("File contents").fill(jobsYAML.replace("strategy:", "strategie:"));
    await page.getByRole("button", { name: "Import", exact: true }).click();
    await page.getByText("strategie").first().waitFor();
    await page.getByLabel("File contents").fill(jobsYAML);
    await page.getByRole("button", { name: "Import", exact: true }).click();
    await page.getByText("created").waitFor();
    await page.goto(`${hub}/projects/p/jobs?q=talk`);
    await page.getByRole("link", { name: "talk" }).click();
    await page.getByRole("button", { name: "Run now" }).waitFor();
    assert.equal(await title(page), "ops/talk", "the focus is at the title");
  },

  async "a run that is refused says so at its field, and then waits for a runner"() {
    await page.getByLabel("release").fill("bad");
    await page.getByRole("button", { name: "Run now" }).click();
    await page
      .getByText(/must match|does not match/)
      .nth(1)
      .waitFor();
    await page.getByLabel("release").fill("2026.11");
    await page.getByRole("button", { name: "Run now" }).click();
    await page.waitForURL(/\/executions\/\d+$/);
    await page.getByText("Waiting for a runner:").waitFor();
    await page.locator(".exec-wait").getByText("3 nodes wait:").waitFor();
    await cell(page, "1:0", "Queued");
  },

  async "the enrolment turns to connected by itself once its commands are pasted"() {
    const other = await newPage();
    await other.goto(`${hub}/runners?enrol=1`);
    await other.getByRole("button", { name: "Create the token" }).click();
    await other.getByText("This address means this machine only.", { exact: false }).waitFor();
    const commands = await other.locator("[role=dialog] pre.code").textContent();
    spawn("sh", ["-c", commands], {
      cwd: stage,
      // Not ours: whoever waits for this program would wait for the runner.
      stdio: ["ignore", "ignore", openSync(join(stage, "runner.log"), "w")],
      env: { ...process.env, FAIRLEAD_RUNNER_DATA_DIR: join(stage, "runner"), FAIRLEAD_RUNNER_LOG_LEVEL: "warn" },
    });
    await other.getByText("is connected.").waitFor();
    await other.close();
  },

  async "the log arrives line by line"() {
    await cell(page, "0:0", "Running");
    await page.getByText("No output yet.").waitFor();
    enter("one");
    for (const n of [1, 2, 3]) await line(page, `node00${n} says one`);
    assert.equal((await lines(page)).length, 3);
    enter("two");
    for (const n of [1, 2, 3]) await line(page, `node00${n} says two`);
    assert.equal((await lines(page)).length, 6);
  },

  async "it arrives where no socket comes through, too"() {
    await blocked.goto(page.url().replace(hub, noSockets));
    await line(blocked, "node002 says two");
    await blocked.getByText(/Following · 6 lines/).waitFor();
    await blocked.getByText("Asking every few seconds").waitFor();
  },

  async "a hub that is killed and comes back costs no line, and shows none twice"() {
    const answer = await fetch(`${noSockets}/test/restart-hub`, { method: "POST" });
    assert.ok(answer.ok, await answer.text());
    enter("three");
    for (const p of [page, blocked]) {
      for (const n of [1, 2, 3]) await line(p, `node00${n} says three`);
      await status(p, "Failed");
      const said = await lines(p);
      for (const n of [1, 2, 3])
        assert.deepEqual(
          said.filter((text) => text.startsWith(`node00${n}`)),
          ["one", "two", "three"].map((word) => `node00${n} says ${word}`),
        );
    }
  },

  async "the cells have turned, and the keyboard reaches them"() {
    await cell(page, "0:1", "Succeeded");
    await cell(page, "1:0", "Succeeded");
    await cell(page, "1:1", "Failed, exit 1");
    assert.equal(await page.locator('.matrix [tabindex="0"]').count(), 1);
    await page.locator('.matrix [tabindex="0"]').focus();
    for (const key of ["ArrowDown", "ArrowRight", "ArrowRight"]) await page.keyboard.press(key);
    await page.locator('[data-at="1:1"]:focus').waitFor();
    await page.keyboard.press("Enter");
    await page.waitForURL(/node=node002.*step=2/);
  },

  async "it runs again where it failed, and there alone"() {
    enter("mended");
    await page.getByRole("button", { name: "Run again" }).click();
    await page.getByRole("menuitem", { name: "On the node that failed" }).click();
    await page.getByText(/Only on the node that failed in execution #\d+: node002/).waitFor();
    assert.equal(await page.getByLabel("release").inputValue(), "2026.11");
    await page.getByRole("button", { name: "Run now" }).click();
    await page.waitForURL(/\/executions\/\d+$/);
    await status(page, "Succeeded");
    // It may have ended before the matrix was first asked for.
    const nodes = page.locator('[role="rowheader"] bdi');
    await nodes.first().waitFor();
    assert.deepEqual(await nodes.allTextContents(), ["node002"]);
  },

  async "a command waits for its time"() {
    await page.goto(`${hub}/projects/p/command?${new URLSearchParams({ command: endless, filter: "name: node001" })}`);
    const soon = new Date(Date.now() + 86_400_000).toISOString().slice(0, 16);
    await page.getByLabel("Start at").fill(soon);
    await page.getByRole("button", { name: "Run later" }).click();
    await page.waitForURL(/\/executions\/\d+$/);
    await status(page, "Scheduled");
    await page.getByText("Waiting for its time:").waitFor();
  },

  async "a command is cancelled"() {
    await page.goto(`${hub}/projects/p/command?${new URLSearchParams({ command: endless, filter: "name: node001" })}`);
    await page.getByRole("button", { name: "Run", exact: true }).click();
    await page.waitForURL(/\/executions\/\d+$/);
    await cell(page, "0:0", "Running");
    await page.getByRole("button", { name: "Cancel", exact: true }).click();
    await page.getByRole("button", { name: "Cancel the execution" }).click();
    await status(page, "Cancelled");
    await cell(page, "0:0", "Cancelled");
  },

  async "and is filled in whole when it is to run again"() {
    await page.getByRole("button", { name: "Run again" }).click();
    await page.getByText("Filled in from execution").waitFor();
    assert.equal(await page.getByLabel("Command line").inputValue(), endless);
    assert.equal(await page.getByLabel("Node filter").inputValue(), "name: node001");
  },
};

// Longer than what a label shows.
const endless = `until [ -e '${stage}'/never ]; do sleep 0.05; done # ${"and so on ".repeat(20).trim()}`;

let failed = 0;
for (const [name, act] of Object.entries(acts)) {
  const began = Date.now();
  try {
    await act();
    console.log(`ok   ${name} (${Date.now() - began} ms)`);
  } catch (error) {
    failed++;
    console.log(
      `FAIL ${name}\n${error.stack}\n${page.url()}\n${await page.locator("body").ariaSnapshot().catch(String)}`,
    );
    console.log(read("runner.log"));
    break; // what follows stands on it
  }
}
for (const text of complaints) console.log(`complaint: ${text}`);
await browser.close();
process.exit(failed + complaints.length > 0 ? 1 : 0);
