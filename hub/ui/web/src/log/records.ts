// A log as NDJSON: lines, empty ones as beats, and at the very end the end.

import type { LogEnd, LogLine } from "../api/client";

export interface Records {
  lines: LogLine[];
  end?: LogEnd;
}

// parseRecords reads whole records.
export function parseRecords(text: string): Records {
  const out: Records = { lines: [] };
  for (const record of text.split("\n")) {
    if (record === "") continue;
    const value = JSON.parse(record) as LogLine & { end?: LogEnd };
    if (value.end) out.end = value.end;
    else out.lines.push(value);
  }
  return out;
}

// readRecords gives the records of an answer as they arrive. An answer that was cut ends
// without its end, and what it had begun to say is dropped.
export async function* readRecords(body: ReadableStream<Uint8Array>): AsyncGenerator<Records> {
  const reader = body.getReader();
  const decoder = new TextDecoder();
  let rest = "";
  try {
    for (;;) {
      const { done, value } = await reader.read();
      if (done) return;
      const text = rest + decoder.decode(value, { stream: true });
      const cut = text.lastIndexOf("\n") + 1;
      rest = text.slice(cut);
      if (cut > 0) yield parseRecords(text.slice(0, cut));
    }
  } finally {
    // Whoever leaves early lets the hub know.
    await reader.cancel().catch(() => {});
  }
}
