// Drives the pages against the stub in headless Chromium and checks what only a browser
// shows: the live log over a cut, the enrolment that turns green, keyboard and policy.
// Usage: npm run build && npm run test:browser
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { createServer } from "node:net";
import { chromium } from "playwright-core";

const free = createServer().listen(0, "127.0.0.1");
await once(free, "listening");
const { port } = free.address();
free.close();
await once(free, "close");
const stub = spawn(process.execPath, [new URL("server.mjs", import.meta.url).pathname, String(port)], {
  stdio: ["ignore", "pipe", "inherit"],
  env: { ...process.env, STUB_SIGNED_OUT: "1" },
});
await once(stub.stdout, "data");
const base = `http://127.0.0.1:${port}`;
const browser = await chromium.launch({
  executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium",
  args: [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
  ],
});
const context = await browser.newContext({ viewport: { width: 1280, height: 900 } });
const page = await context.newPage();
page.setDefaultTimeout(8000);
const complaints = [];
page.on("console", (m) => {
  if (m.type() === "error" && !/Failed to load resource|WebSocket/.test(m.text())) complaints.push(m.text());
});
page.on("pageerror", (e) => complaints.push(String(e)));
const foreign = [];
page.on("request", (r) => {
  if (!r.url().startsWith(base) && !r.url().startsWith("data:")) foreign.push(r.url());
});

const tests = {
  async "a stranger is asked to sign in, and comes back to where he was going"() {
    await page.goto(`${base}/runners`);
    await page.waitForURL(/sign-in\?next=/);
    await page.getByLabel("User").fill("mara");
    await page.getByLabel("Password", { exact: true }).fill("wrong");
    await page.getByRole("button", { name: "Sign in" }).click();
    await page.getByText("User or password is wrong.").waitFor();
    await page.getByLabel("Password", { exact: true }).fill("fairlead");
    await page.getByRole("button", { name: "Sign in" }).click();
    await page.waitForURL(/\/runners$/);
  },

  async "a sign-in link works wherever it points, and leaves the address"() {
    await page.request.delete(`${base}/api/v1/sessions/current`);
    await page.goto(`${base}/executions?link=12345678`);
    await page.waitForURL(/\/executions$/);
    await page.getByRole("heading", { name: "Executions" }).waitFor();
  },

  async "a log goes on behind its last line after a cut: none lost, none twice"() {
    await page.setViewportSize({ width: 1280, height: 100000 / 50 });
    await page.goto(`${base}/executions/1054`);
    await page.getByText(/Following · /).waitFor();
    await page.request.get(`${base}/stub/cut?seconds=1`);
    await page
      .getByText(/Connection lost/)
      .first()
      .waitFor();
    await page.getByText(/Following · /).waitFor({ timeout: 20000 });
    await page.waitForTimeout(800);
    // The stub's line number is in each row's title.
    const places = await page.$$eval(".log-row .log-node", (all) =>
      all.map((el) => [
        Number(el.closest(".log-row").dataset.index),
        Number(/line ([\d,]+)/.exec(el.title)[1].replace(",", "")),
      ]),
    );
    assert.ok(places.length > 50, `only ${places.length} rows`);
    places.sort((a, b) => a[0] - b[0]);
    for (let i = 1; i < places.length; i++) assert.equal(places[i][1], places[i - 1][1] + 1, "lines follow each other");
    await page.setViewportSize({ width: 1280, height: 900 });
  },

  async "scrolling up stops following, and the button takes it up again"() {
    await page.goto(`${base}/executions/1054`);
    await page.getByText(/Following · /).waitFor();
    await page.locator(".log-lines").hover();
    await page.mouse.wheel(0, -2000);
    await page.getByText(/Paused · /).waitFor();
    await page.locator(".log-jump").click();
    await page.getByText(/Following · /).waitFor();
  },

  async "the matrix has one tab stop, arrows move, Enter shows a cell's log"() {
    await page.goto(`${base}/executions/1053`);
    await page.getByRole("grid").waitFor();
    await page.getByText("1000 nodes").or(page.getByText("10 failed")).first().waitFor();
    assert.equal(await page.locator('.matrix [tabindex="0"]').count(), 1);
    await page.locator('.matrix [tabindex="0"]').focus();
    await page.keyboard.press("ArrowDown");
    await page.keyboard.press("ArrowRight");
    assert.equal(await page.evaluate(() => document.activeElement.dataset.at), "1:0");
    await page.keyboard.press("Control+End");
    await page.locator('[data-at="999:2"]:focus').waitFor();
    await page.keyboard.press("Enter");
    await page.waitForURL(/node=.*step=3/);
  },

  async "a refused run names what is wrong at its field and loses nothing"() {
    await page.goto(`${base}/projects/web/jobs/j4?opt.ticket=CHG-7`);
    assert.equal(await page.getByLabel("ticket").inputValue(), "CHG-7");
    await page.getByLabel("Release").fill("bad");
    await page.getByRole("button", { name: "Run now" }).click();
    await page
      .getByText(/does not match/)
      .first()
      .waitFor();
    assert.equal(await page.getByLabel("ticket").inputValue(), "CHG-7");
    await page.getByLabel("Release").fill("v4.12.1");
    await page.getByRole("button", { name: "Run now" }).click();
    await page.waitForURL(/\/executions\/\d+$/);
  },

  async "enrolment turns to connected by itself"() {
    await page.goto(`${base}/runners?enrol=1`);
    await page.getByRole("button", { name: "Create the token" }).click();
    await page.getByText("This address means this machine only.", { exact: false }).waitFor();
    const commands = await page.locator("[role=dialog] pre.code").textContent();
    assert.match(commands, /sha256sum -c -/);
    assert.match(commands, /FAIRLEAD_RUNNER_TOKEN='flr_/);
    await page.getByLabel(/Address of this hub/).fill("https://hub.example:8440/");
    assert.match(
      await page.locator("[role=dialog] pre.code").textContent(),
      /enroll --hub 'https:\/\/hub.example:8440'/,
    );
    await page.request.get(`${base}/stub/enrol`);
    await page.getByText("edge-7 is connected.").waitFor({ timeout: 10000 });
  },

  async "an import tells all problems by path"() {
    await page.goto(`${base}/projects/web/jobs?import=1`);
    await page.getByLabel("File contents").fill("- name: bad\n");
    await page.getByRole("button", { name: "Import", exact: true }).click();
    await page.getByText("[0].sequence.commands[2].plugins").waitFor();
    await page.getByText("did you mean nodefilters?", { exact: false }).waitFor();
  },
};

let failed = 0;
for (const [name, run] of Object.entries(tests)) {
  try {
    await run();
    console.log(`ok   ${name}`);
  } catch (error) {
    failed++;
    console.log(`FAIL ${name}\n     ${String(error.stack).split("\n").slice(0, 8).join("\n     ")}`);
    await page
      .screenshot({ path: `${process.env.TMPDIR ?? "/tmp"}/fairlead-ui-failed-${failed}.png`, timeout: 3000 })
      .catch(() => {});
  }
}
for (const text of complaints) console.log(`console: ${text}`);
for (const url of foreign) console.log(`asked another origin: ${url}`);
await browser.close();
stub.kill();
process.exit(failed + complaints.length + foreign.length > 0 ? 1 : 0);
