import { TextInput } from "@mantine/core";
import { hubNow, zoneOffset } from "../base/time";
import { t } from "../text/t";

// isOver tells whether a chosen time is none to start at any more; "" means at once.
export function isOver(startAt: string): boolean {
  return startAt !== "" && Date.parse(startAt) <= hubNow();
}

// runAt is the chosen time as a run bears it: an instant, or nothing for at once.
export function runAt(startAt: string): { runAt?: string } {
  return startAt ? { runAt: new Date(startAt).toISOString() } : {};
}

// StartAt takes the time of a run in the viewer's zone.
export function StartAt({
  value,
  onChange,
  error,
}: {
  value: string;
  onChange: (value: string) => void;
  error: string | undefined;
}) {
  return (
    <TextInput
      type="datetime-local"
      label={t("run.startAt")}
      description={t("run.startAtHint", { zone: zoneOffset(value ? Date.parse(value) : hubNow()) })}
      value={value}
      onChange={(e) => onChange(e.currentTarget.value)}
      // Without it a browser takes years of six digits, which are no time to the hub. A day
      // less, or it would be of the year after in another zone.
      max="9999-12-30T23:59"
      error={error}
      w={260}
    />
  );
}
