// The run form's values: from the definition, from the last run, from the address.

import type { Execution, JobOption } from "../api/client";

export type Values = Record<string, string>;

export function initialValues(options: JobOption[], last: Execution | undefined, address: URLSearchParams): Values {
  const values: Values = {};
  for (const option of options) {
    if (option.secure) continue;
    const before = last?.options?.[option.name];
    const given = address.get(`opt.${option.name}`);
    values[option.name] = given ?? before ?? option.value ?? "";
  }
  return values;
}

// toSend leaves out what is empty or hidden and unchanged, so that the hub's own
// defaults and stored keys count.
export function toSend(options: JobOption[], values: Values): Values {
  const out: Values = {};
  for (const option of options) {
    const value = values[option.name] ?? "";
    if (value !== "") out[option.name] = value;
    // Emptied on purpose: without a word the default would come back.
    else if (!option.secure && option.value) out[option.name] = "";
  }
  return out;
}

// missing names required options that have no value.
export function missing(options: JobOption[], values: Values): string[] {
  return options
    .filter((o) => o.required && !o.hidden && !(o.secure && o.storagePath) && (values[o.name] ?? "") === "")
    .map((o) => o.name);
}

export function split(option: JobOption, value: string): string[] {
  return value === "" ? [] : value.split(option.delimiter || ",");
}

export function join(option: JobOption, values: string[]): string {
  return values.join(option.delimiter || ",");
}

// formAddress is a link to the filled form; secure values never get into one. again names
// the execution on whose nodes, or failed ones, the form runs: from it the form would be filled, so
// what is as the job has it stands in the link too.
export function formAddress(
  base: string,
  options: JobOption[],
  values: Values,
  filter: string,
  again = "",
  failed = true,
): string {
  const url = new URL(base);
  for (const option of options) {
    const value = values[option.name] ?? "";
    if (!option.secure && (again !== "" || value !== (option.value ?? "")))
      url.searchParams.set(`opt.${option.name}`, value);
  }
  if (filter) url.searchParams.set("filter", filter);
  if (again) onNodesOf(url, again, failed);
  return url.toString();
}

// onNodesOf makes a link to a form one that runs on the nodes of an execution alone, or on
// those that failed.
export function onNodesOf(url: URL, execution: string, failed: boolean): void {
  url.searchParams.set("from", execution);
  if (failed) url.searchParams.set("only", "failed");
}
