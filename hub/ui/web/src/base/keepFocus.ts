// keepFocus gives a button back the focus that the browser took from it while it was
// disabled: as long as what it asked for is on its way. Without it whoever works by
// keyboard is nowhere after each press. It returns how to stop.
export function keepFocus(): () => void {
  let last: EventTarget | null = null;
  const took = (event: Event) => {
    last = event.target;
  };
  // Who points elsewhere meanwhile is there.
  const pointed = () => {
    last = null;
  };
  const watch = new MutationObserver((changes) => {
    for (const { target } of changes)
      if (target === last && target instanceof HTMLButtonElement && !target.disabled && noFocus())
        target.focus({ preventScroll: true });
  });
  watch.observe(document, { subtree: true, attributes: true, attributeFilter: ["disabled"] });
  document.addEventListener("focusin", took);
  document.addEventListener("pointerdown", pointed, { capture: true });
  return () => {
    watch.disconnect();
    document.removeEventListener("focusin", took);
    document.removeEventListener("pointerdown", pointed, { capture: true });
  };
}

function noFocus(): boolean {
  return document.activeElement === null || document.activeElement === document.body;
}
