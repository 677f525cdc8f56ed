// Takes pictures of pages of a running hub in headless Chromium, at three widths, light
// and dark, and fails on anything that the browser's console complains about and on pages
// that are wider than their window.
// Usage: node browser/shots.mjs SIGN_IN_LINK OUTDIR [name=path ...] [--widths=390,900,1440] [--schemes=light,dark]
import { mkdirSync } from "node:fs";
import { launch } from "./chromium.mjs";

const [link, out, ...rest] = process.argv.slice(2);
const base = new URL(link).origin;
const flag = (name, fallback) => (rest.find((a) => a.startsWith(`--${name}=`))?.split("=")[1] ?? fallback).split(",");
const pages = rest
  .filter((a) => !a.startsWith("--"))
  .map((a) => [a.slice(0, a.indexOf("=")), a.slice(a.indexOf("=") + 1)]);
mkdirSync(out, { recursive: true });
const browser = await launch();
// A link works once: all the windows share what it gave.
const first = await browser.newContext();
const door = await first.newPage();
await door.goto(link);
await door.locator(".shell").waitFor();
const storageState = await first.storageState();
await first.close();
let bad = 0;
for (const scheme of flag("schemes", "light,dark"))
  for (const width of flag("widths", "390,900,1440").map(Number)) {
    const context = await browser.newContext({
      viewport: { width, height: width < 600 ? 844 : 900 },
      colorScheme: scheme,
      storageState,
    });
    const page = await context.newPage();
    page.setDefaultTimeout(90_000);
    page.on("console", (m) => {
      if (m.type() !== "error" && m.type() !== "warning") return;
      bad++;
      console.log(`${scheme} ${width}: ${m.text()}`);
    });
    page.on("response", (r) => {
      if (r.status() >= 400) console.log(`${r.status()} ${r.url()}`);
    });
    page.on("pageerror", (e) => {
      bad++;
      console.log(`${scheme} ${width}: ${e}`);
    });
    for (const [name, path] of pages) {
      await page.goto(base + path, { waitUntil: "networkidle" });
      await page.waitForFunction(() => !document.querySelector(".loading")); // on a slow machine idle comes first
      const wide = await page.evaluate(
        () => document.documentElement.scrollWidth > document.documentElement.clientWidth + 1,
      );
      if (wide) {
        bad++;
        console.log(`${name} is wider than the window at ${width}`);
      }
      await page.screenshot({ path: `${out}/${name}-${width}-${scheme}.png` });
    }
    await context.close();
  }
await browser.close();
process.exit(bad > 0 ? 1 : 0);
