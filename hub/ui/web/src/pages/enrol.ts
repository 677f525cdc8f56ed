// The commands that put a runner on another machine, as text to paste there.

// Served is a runner that the hub has, for one system, with its SHA-256.
export interface Served {
  os: string;
  arch: string;
  sum: string;
}

// servedOf reads the hub's SHA256SUMS: a line for each system it has a runner for.
export function servedOf(sums: string): Served[] {
  return sums.split("\n").flatMap((line) => {
    const [, sum, os, arch] = /^([0-9a-f]{64}) {2}fairlead-runner-([a-z0-9]+)-([a-z0-9]+)$/.exec(line) ?? [];
    return sum && os && arch ? [{ os, arch, sum }] : [];
  });
}

// platforms names the systems that runners are served for.
export function platforms(served: Served[]): string {
  return served.map((s) => `${s.os}/${s.arch}`).join(", ");
}

// quote makes a word of a POSIX shell of any text.
export function quote(text: string): string {
  return `'${text.replaceAll("'", "'\\''")}'`;
}

// What uname calls them, where that is another word than Go's.
const kernels: Record<string, string> = { linux: "Linux", darwin: "Darwin", freebsd: "FreeBSD" };
const machines: Record<string, string[]> = {
  amd64: ["x86_64", "amd64"],
  arm64: ["aarch64", "arm64"],
  arm: ["armv7l", "armv6l"],
  "386": ["i686", "i386"],
};

function unamePattern({ os, arch }: Served): string {
  return (machines[arch] ?? [arch]).map((machine) => quote(`${kernels[os] ?? os} ${machine}`)).join("|");
}

// enrolCommands is one chain: a machine that no runner fits, or a wrong checksum, ends it
// before anything is run. Without a runner that is served, one must be there already.
export function enrolCommands(p: { hub: string; token: string; served: Served[] }): string {
  const runner = p.served.length > 0 ? "./fairlead-runner" : "fairlead-runner";
  const links = [
    ...(p.served.length > 0 ? download(p.hub, p.served) : []),
    `FAIRLEAD_RUNNER_TOKEN=${quote(p.token)} ${runner} enroll --hub ${quote(p.hub)}`,
    `${runner} run`,
  ];
  return links.join(" &&\n");
}

function download(hub: string, served: Served[]): string[] {
  const choices = served.map((s) => `  ${unamePattern(s)}) for='os=${s.os}&arch=${s.arch}' sum=${s.sum} ;;`);
  const misfit = `this hub has fairlead-runner for ${platforms(served)} only, and this machine is`;
  // The hub's certificate may be of its own CA, which that machine does not know yet.
  // The sum comes by way of this page, so nothing is taken on trust.
  const insecure = hub.startsWith("https:") ? "--insecure " : "";
  return [
    ['case "$(uname -sm)" in', ...choices, `  *) echo "${misfit} $(uname -sm)" >&2; false ;;`, "esac"].join("\n"),
    `curl -fSL ${insecure}-o fairlead-runner ${quote(`${hub}/install/fairlead-runner?`)}"$for"`,
    'echo "$sum  fairlead-runner" | sha256sum -c -',
    "chmod +x fairlead-runner",
  ];
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
