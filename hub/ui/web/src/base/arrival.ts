// Where the focus goes when a link leads to another page of this application. A browser
// would put it at the top of the new document and read its title; here nothing happens
// by itself, and a screen reader would say nothing at all.

let shown: string | undefined;
// whether the title of what is shown was given the focus, and not left to the browser
let given = false;

// arrive is told by each title that appears, with the path of its page.
export function arrive(path: string, title: HTMLElement): void {
  const first = shown === undefined;
  const same = shown === path;
  shown = path;
  if (first) return;
  // A page may show a title of its own until its answer comes. The one that takes its
  // place gets the focus back that went with it, and only that.
  if (same && !(given && document.activeElement === document.body)) return;
  given = true;
  title.focus({ preventScroll: true });
}
