// Sets the colours before the first paint. A file of its own, since the page's policy
// lets no inline script run.
(() => {
  let scheme = "auto";
  try {
    scheme = localStorage.getItem("fairlead.colour-scheme") || "auto";
  } catch {
    // Storage may be closed to us: the system's colours then.
  }
  if (scheme !== "light" && scheme !== "dark") {
    scheme = matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light";
  }
  document.documentElement.setAttribute("data-mantine-color-scheme", scheme);
})();
