// What this browser remembers. Storage may be closed to us; then nothing is.

import { createStore } from "./store";

// projectInView is the project of what the page shows, where its address names none.
export const projectInView = createStore("");

export function recall(name: string): string {
  try {
    return localStorage.getItem(`fairlead.${name}`) ?? "";
  } catch {
    return "";
  }
}

export function remember(name: string, value: string): void {
  try {
    if (value === "") localStorage.removeItem(`fairlead.${name}`);
    else localStorage.setItem(`fairlead.${name}`, value);
  } catch {
    // Then it is asked again next time.
  }
}
