// named is the node filter that takes the node of this name alone. A name in a filter is a
// pattern, and commas, slashes and blanks mean something there: what could is escaped, or
// written by its number.
export function named(node: string): string {
  const pattern = Array.from(node, (c) => {
    if (/[\p{L}\p{N}_-]/u.test(c)) return c;
    if (/[!-~]/.test(c) && !/[,+/]/.test(c)) return `\\${c}`;
    return `\\x{${(c.codePointAt(0) ?? 0).toString(16)}}`;
  });
  return `name: ${pattern.join("")}`;
}
