import { spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import { chmodSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { enrolCommands, hubAddress, loopback, quote, type Served, servedOf } from "./enrol";

const binary = '#!/bin/sh\necho "$@ with $FAIRLEAD_RUNNER_TOKEN" >> ran\n';
const sum = createHash("sha256").update(binary).digest("hex");
const served: Served[] = [
  { os: "linux", arch: "amd64", sum },
  { os: "linux", arch: "arm64", sum: "0".repeat(64) },
];

let dir = "";
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), "fairlead-enrol-"));
});
afterEach(() => rmSync(dir, { recursive: true }));

// paste runs the commands in a real shell on a machine that calls itself so, and serves
// binary to its curl.
function paste(commands: string, uname: string) {
  const program = (name: string, text: string) => {
    writeFileSync(join(dir, name), `#!/bin/sh\n${text}\n`);
    chmodSync(join(dir, name), 0o755);
  };
  writeFileSync(join(dir, "served"), binary);
  program("uname", `echo '${uname}'`);
  program("curl", 'echo "$@" > asked; while [ "$1" != -o ]; do shift; done; cp served "$2"');
  const done = spawnSync("sh", ["-c", commands], {
    cwd: dir,
    encoding: "utf8",
    env: { PATH: `${dir}:${process.env.PATH}` },
  });
  const read = (name: string) => {
    try {
      return readFileSync(join(dir, name), "utf8");
    } catch {
      return "";
    }
  };
  return { ok: done.status === 0, told: done.stderr, ran: read("ran"), asked: read("asked") };
}

const commands = enrolCommands({ hub: "https://hub.example:8440", token: "flr1.a'b", served });

test("what is pasted downloads the runner for its machine, compares it, enrols and runs it", () => {
  const { ok, ran, asked } = paste(commands, "Linux x86_64");
  expect(ok).toBe(true);
  expect(asked).toContain("https://hub.example:8440/install/fairlead-runner?os=linux&arch=amd64");
  expect(asked).toContain("--insecure");
  expect(ran).toBe("enroll --hub https://hub.example:8440 with flr1.a'b\nrun with \n");
});

test("a machine that no runner fits is told so before anything is downloaded", () => {
  const { ok, told, ran, asked } = paste(commands, "Linux riscv64");
  expect(ok).toBe(false);
  expect(told).toBe(
    "this hub has fairlead-runner for linux/amd64, linux/arm64 only, and this machine is Linux riscv64\n",
  );
  expect(asked + ran).toBe("");
});

test("a wrong sum ends it before anything is run", () => {
  const { ok, ran, asked } = paste(commands, "Linux aarch64");
  expect(ok).toBe(false);
  expect(asked).toContain("arch=arm64");
  expect(ran).toBe("");
});

test("without a runner to download it is expected to be there; plain HTTP has no check to skip", () => {
  const bare = enrolCommands({ hub: "http://h", token: "t", served: [] });
  expect(bare).not.toContain("curl");
  expect(bare).toContain("\nfairlead-runner run");
  expect(enrolCommands({ hub: "http://h", token: "t", served })).not.toContain("--insecure");
});

test("the hub's list of sums tells the systems; anything else tells none", () => {
  expect(servedOf(`${sum}  fairlead-runner-linux-amd64\n${sum}  fairlead-runner-linux-arm64\n`)).toHaveLength(2);
  expect(servedOf(`<html>\n${sum}  fairlead-hub\n${sum}  fairlead-runner-linux-$(id)\n`)).toEqual([]);
});

test.each([
  ["http://127.0.0.1:8440", true],
  ["https://localhost", true],
  ["http://[::1]:8440", true],
  ["http://0.0.0.0:8440", true],
  ["https://hub.example", false],
  ["http://10.0.0.1", false],
])("%s means the own machine: %s", (address, want) => expect(loopback(address)).toBe(want));

test("an address is cut to its origin, and must be one", () => {
  expect(hubAddress(" https://h:8440/runners ")).toBe("https://h:8440");
  expect(hubAddress("hub.example")).toBe("");
  expect(hubAddress("javascript:alert(1)")).toBe("");
  expect(quote("a'b")).toBe("'a'\\''b'");
});
