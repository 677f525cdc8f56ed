import { shown } from "../base/shown";
import { en } from "./en";

// Plural is a message with a form per plural category of the language; the count
// comes as the parameter n.
export interface Plural {
  one: string;
  other: string;
}

export type Key = keyof typeof en & string;
export type Params = Record<string, string | number>;

const rules = new Intl.PluralRules("en");
const numbers = new Intl.NumberFormat("en");

// t returns the message of the catalogue with its {names} filled in. Numbers are
// grouped; text goes in as it is (React escapes it).
export function t(key: Key, params: Params = {}): string {
  const message: string | Plural | undefined = en[key];
  // A newer hub may have words that this page does not know yet.
  if (message === undefined) return String(key).slice(String(key).lastIndexOf(".") + 1);
  const text = typeof message === "string" ? message : choose(message, params);
  return text.replace(/\{(\w+)\}/g, (whole, name: string) => {
    const value = params[name];
    if (value === undefined) return whole;
    return typeof value === "number" ? numbers.format(value) : shown(value);
  });
}

function choose(message: Plural, params: Params): string {
  const n = Number(params.n ?? 0);
  return rules.select(n) === "one" ? message.one : message.other;
}
