import { expect, test } from "vitest";
import { sizeOf, sizeText, sizeTyped } from "./size";

test.each([
  ["0", 0, "0 B", "0"],
  ["1023", 1023, "1,023 B", "1023"],
  ["5 kb", 5120, "5 KB", "5 KB"],
  ["1536MB", 1610612736, "1.5 GB", "1536 MB"],
  [" 50 GB ", 53687091200, "50 GB", "50 GB"],
  ["2000000000", 2000000000, "1.9 GB", "1953125 KB"],
  ["4096TB", 4503599627370496, "4,096 TB", "4096 TB"],
])("%s is %d bytes", (typed, bytes, text, back) => {
  expect(sizeOf(typed)).toBe(bytes);
  expect(sizeText(bytes)).toBe(text);
  expect(sizeTyped(bytes)).toBe(back);
});

test.each(["", "GB", "1.5 GB", "-1", "5 XB", "99999999 TB", "many"])("%s is no size", (typed) => {
  expect(sizeOf(typed)).toBeUndefined();
});
