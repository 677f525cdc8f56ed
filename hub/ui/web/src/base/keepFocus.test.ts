// @vitest-environment jsdom
import { afterEach, beforeEach, expect, test } from "vitest";
import { keepFocus } from "./keepFocus";

let stop: () => void;
let pressed: HTMLButtonElement;
let other: HTMLButtonElement;

beforeEach(() => {
  document.body.innerHTML = "<button>pressed</button><button>other</button>";
  [pressed, other] = document.querySelectorAll("button") as unknown as [HTMLButtonElement, HTMLButtonElement];
  stop = keepFocus();
});
afterEach(() => stop());

// A browser takes the focus from what is disabled; here that is done by hand.
async function work(meanwhile = () => {}): Promise<void> {
  pressed.focus();
  pressed.blur();
  pressed.disabled = true;
  meanwhile();
  await Promise.resolve();
  pressed.disabled = false;
  await Promise.resolve();
}

test("a button that was disabled while it worked has the focus again", async () => {
  await work(() => expect(document.activeElement).toBe(document.body));
  expect(document.activeElement).toBe(pressed);
});

test("who went on meanwhile stays there", async () => {
  await work(() => other.focus());
  expect(document.activeElement).toBe(other);
  await work(() => document.body.dispatchEvent(new Event("pointerdown", { bubbles: true })));
  expect(document.activeElement).toBe(document.body);
});
