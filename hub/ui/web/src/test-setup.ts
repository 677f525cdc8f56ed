import { afterEach, vi } from "vitest";

// What jsdom lacks and pages ask for.
if (typeof window !== "undefined") {
  window.matchMedia ??= (query: string) =>
    ({ matches: false, media: query, addEventListener() {}, removeEventListener() {} }) as unknown as MediaQueryList;
  window.scrollTo = () => {};
  Element.prototype.scrollTo ??= () => {};
  Element.prototype.scrollIntoView ??= () => {};
  window.ResizeObserver ??= class {
    observe() {}
    unobserve() {}
    disconnect() {}
  };
  // jsdom has no fonts to wait for.
  if (!document.fonts) Object.defineProperty(document, "fonts", { value: new EventTarget() });
  // A socket that never opens: pages must do without.
  window.WebSocket = class {
    close() {}
  } as unknown as typeof WebSocket;
  const { cleanup, configure } = await import("@testing-library/react");
  // Busy machines are slow, asking who is hidden is slower, and a whole document explains
  // no failure.
  configure({
    asyncUtilTimeout: 15_000,
    defaultHidden: true,
    getElementError: (message) => new Error(message ?? "not found"),
  });
  afterEach(cleanup);
}

afterEach(() => void vi.unstubAllGlobals());
