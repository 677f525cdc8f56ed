// Starts the distribution's Chromium, with an empty profile of its own and no traffic of
// its own: nothing but the pages that are opened may be asked for.
import { chromium } from "playwright-core";

export const launch = () =>
  chromium.launch({
    executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium",
    headless: true,
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

// watch collects what a page must never do: complain, or ask another origin.
export function watch(page, origin, complaints) {
  page.on("console", (m) => {
    // A hub that restarts, and a proxy without sockets, are told of by the browser itself.
    if (m.type() === "error" && !/Failed to load resource|WebSocket/.test(m.text())) complaints.push(m.text());
  });
  page.on("pageerror", (error) => complaints.push(String(error)));
  page.on("request", (r) => {
    if (!r.url().startsWith(origin) && !r.url().startsWith("data:")) complaints.push(`asked for ${r.url()}`);
  });
}
