// Whether somebody is at the page. What it asks by itself is no use of the session, or an
// open page would keep a session alive for ever.

const attention = 60_000;

let acted = Date.now();

for (const kind of ["pointerdown", "pointermove", "keydown", "wheel", "focus"])
  window.addEventListener(
    kind,
    () => {
      acted = Date.now();
    },
    { passive: true, capture: true },
  );

export function away(): boolean {
  return Date.now() - acted > attention;
}
