import { expect, test } from "vitest";
import { shown } from "./shown";

test.each([
  ["a mark of direction", "web\u202e21", "web[U+202E]21"],
  ["a character without width", "web\u200b1", "web[U+200B]1"],
  ["a hyphen that is not seen", "web\u00ad1", "web[U+00AD]1"],
  ["a blank letter", "web\u31641", "web[U+3164]1"],
  ["a tag, which is beyond 16 bits", "web\u{e0041}1", "web[U+E0041]1"],
  ["a joiner where nothing joins", "web\u200d1", "web[U+200D]1"],
  ["a joiner at the end of a word", "می\u200c", "می[U+200C]"],
  ["two joiners, of which one is seen", "می\u200c\u200cخواهم", "می[U+200C][U+200C]خواهم"],
  ["a form of a letter that has none", "web\ufe0f1", "web[U+FE0F]1"],
])("%s is written out", (_, text, want) => expect(shown(text)).toBe(want));

test.each([
  ["a Persian word", "می\u200cخواهم"],
  ["a Sinhala word", "ශ්\u200dරී"],
  ["a Hindi word", "क्\u200dष"],
  ["a family", "👩🏽\u200d👩\u200d👧"],
  ["a flag of two", "🏳\ufe0f\u200d🌈"],
  ["a heart in red", "❤\ufe0f"],
  ["a key of a number", "1\ufe0f\u20e3"],
  ["a name in an older form", "葛\u{e0100}城"],
])("%s is left as it is", (_, text) => expect(shown(text)).toBe(text));
