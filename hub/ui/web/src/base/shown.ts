// Marks and overrides of direction, and characters that are not seen: a name with one of
// them would look like another name.
const unseen = /[\p{Default_Ignorable_Code_Point}\ufff9-\ufffb]/gu;

// Some of them belong to how a script is written, and are seen by what they do to the
// letters beside them: joiners within words of scripts whose letters join, and within an
// emoji of several; what selects the form of an emoji or of an ideograph.
const joining =
  "\\p{Script=Arabic}\\p{Script=Syriac}\\p{Script=Nko}\\p{Script=Mongolian}\\p{Script=Adlam}" +
  "\\p{Script=Devanagari}\\p{Script=Bengali}\\p{Script=Gurmukhi}\\p{Script=Gujarati}\\p{Script=Oriya}" +
  "\\p{Script=Tamil}\\p{Script=Telugu}\\p{Script=Kannada}\\p{Script=Malayalam}\\p{Script=Sinhala}" +
  "\\p{Script=Khmer}\\p{Script=Myanmar}";
const emoji = "\\p{Extended_Pictographic}";
const needed = new RegExp(
  [
    `(?<=[${joining}])[\\u200c\\u200d](?=[${joining}])`,
    `(?<=${emoji}[\\ufe0f\\p{Emoji_Modifier}]?)\\u200d(?=${emoji})`,
    `(?<=${emoji})[\\ufe0e\\ufe0f]`,
    "(?<=[0-9#*])\\ufe0f(?=\\u20e3)",
    "(?<=\\p{Script=Mongolian})[\\u180b-\\u180f]",
    "(?<=\\p{Ideographic})[\\ufe00-\\ufe0f\\u{e0100}-\\u{e01ef}]",
  ].join("|"),
  "uy",
);

// seen tells whether the character there, which alone cannot be seen, is needed where it is.
export function seen(text: string, at: number): boolean {
  needed.lastIndex = at;
  return needed.test(text);
}

// shown writes out what cannot be seen or turns the text around.
export function shown(text: string): string {
  return text.replace(unseen, (c, at: number) => {
    if (seen(text, at)) return c;
    return `[U+${(c.codePointAt(0) ?? 0).toString(16).toUpperCase().padStart(4, "0")}]`;
  });
}
