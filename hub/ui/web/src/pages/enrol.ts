// The commands that put a runner on another machine, as text to paste there.

export interface EnrolParts {
  // hub is the address that machine reaches the hub at.
  hub: string;
  token: string;
  // sum is the SHA-256 of the runner that the hub serves; "" when it serves none.
  sum: string;
  os: string;
  arch: string;
}

// quote makes a word of a POSIX shell of any text.
export function quote(text: string): string {
  return `'${text.replaceAll("'", "'\\''")}'`;
}

// enrolCommands is one chain: a wrong checksum ends it before anything is run.
export function enrolCommands(p: EnrolParts): string {
  const lines: string[] = [];
  const runner = p.sum ? "./fairlead-runner" : "fairlead-runner";
  if (p.sum) {
    const query = new URLSearchParams();
    if (p.os) query.set("os", p.os);
    if (p.arch) query.set("arch", p.arch);
    const tail = query.size > 0 ? `?${query}` : "";
    // The hub's certificate may be of its own CA, which that machine does not know yet.
    // The sum on the next line comes by way of this page, so nothing is taken on trust.
    const insecure = p.hub.startsWith("https:") ? "--insecure " : "";
    lines.push(`curl -fSL ${insecure}-o fairlead-runner ${quote(`${p.hub}/install/fairlead-runner${tail}`)}`);
    lines.push(`echo '${p.sum}  fairlead-runner' | sha256sum -c -`);
    lines.push("chmod +x fairlead-runner");
  }
  lines.push(`FAIRLEAD_RUNNER_TOKEN=${quote(p.token)} ${runner} enroll --hub ${quote(p.hub)}`);
  lines.push(`${runner} run`);
  return lines.join(" &&\n");
}

// loopback tells an address that means another machine on another machine.
export function loopback(address: string): boolean {
  let host: string;
  try {
    host = new URL(address).hostname;
  } catch {
    return false;
  }
  return (
    host === "localhost" ||
    host.endsWith(".localhost") ||
    /^127\./.test(host) ||
    host === "[::1]" ||
    host === "0.0.0.0" ||
    host === "[::]"
  );
}

// hubAddress cuts what a person typed to an origin, "" if it is none.
export function hubAddress(typed: string): string {
  try {
    const url = new URL(typed.trim());
    return url.protocol === "http:" || url.protocol === "https:" ? url.origin : "";
  } catch {
    return "";
  }
}

// sumOf reads the answer of .sha256, in the form of sha256sum.
export function sumOf(text: string): string {
  return /^[0-9a-f]{64}\b/.exec(text.trim())?.[0] ?? "";
}
