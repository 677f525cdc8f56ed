// Sizes as people read and type them, in the units of a log limit: each is 1,024 of the one
// before.

const units = ["B", "KB", "MB", "GB", "TB"];
const digits = new Intl.NumberFormat("en", { maximumFractionDigits: 1 });

// sizeText is a number of bytes in the largest unit that it fills.
export function sizeText(bytes: number): string {
  let n = bytes;
  let unit = 0;
  for (; n >= 1024 && unit < units.length - 1; unit++) n /= 1024;
  return `${digits.format(n)} ${units[unit]}`;
}

// sizeTyped is what stands in a field for a number of bytes: no digit of it is lost.
export function sizeTyped(bytes: number): string {
  let n = bytes;
  let unit = 0;
  for (; n >= 1024 && n % 1024 === 0 && unit < units.length - 1; unit++) n /= 1024;
  return unit === 0 ? String(n) : `${n} ${units[unit]}`;
}

// sizeOf reads what was typed; undefined where that is no size.
export function sizeOf(text: string): number | undefined {
  const found = /^(\d+)\s*([KMGT]?B)?$/.exec(text.trim().toUpperCase());
  if (!found) return undefined;
  const bytes = Number(found[1]) * 1024 ** units.indexOf(found[2] ?? "B");
  return Number.isSafeInteger(bytes) ? bytes : undefined;
}
