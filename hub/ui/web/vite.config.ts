import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { gzipSync } from "node:zlib";
import react from "@vitejs/plugin-react";
import type { Plugin } from "vite";
import { defineConfig } from "vitest/config";

// The hub serves these as they are, so it never compresses while people wait.
function packed(dir: string): Plugin {
  return {
    name: "fairlead-packed",
    apply: "build",
    closeBundle() {
      for (const entry of readdirSync(dir, { recursive: true, withFileTypes: true })) {
        if (!entry.isFile() || !/\.(js|css|svg)$/.test(entry.name)) continue;
        const file = join(entry.parentPath, entry.name);
        writeFileSync(`${file}.gz`, gzipSync(readFileSync(file), { level: 9 }));
      }
    },
  };
}

const dist = join(import.meta.dirname, "../dist");
const hub = process.env.FAIRLEAD_URL ?? "http://127.0.0.1:8440";

export default defineConfig({
  plugins: [react(), packed(dist)],
  build: {
    outDir: dist,
    emptyOutDir: true,
    assetsInlineLimit: 0,
    reportCompressedSize: false,
    chunkSizeWarningLimit: 900,
  },
  server: {
    proxy: {
      // The Host stays the browser's: the hub compares it with the Origin.
      "/api": { target: hub, ws: true, secure: false },
      "/install": { target: hub, secure: false },
    },
  },
  // Most tests are of plain functions; those that need a page say so at their top.
  test: {
    environment: "node",
    include: ["src/**/*.test.{ts,tsx}"],
    setupFiles: ["src/test-setup.ts"],
    // Whole pages on a machine that builds Go beside them.
    testTimeout: 60_000,
  },
});
