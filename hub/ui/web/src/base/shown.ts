// Marks and overrides of direction, and characters without width: a name with one of them
// would look like another name.
const unseen = /[\u061c\u200b-\u200f\u202a-\u202e\u2060-\u206f\ufeff]/g;

// shown writes out what cannot be seen or turns the text around.
export function shown(text: string): string {
  return text.replace(unseen, (c) => `[U+${c.charCodeAt(0).toString(16).toUpperCase().padStart(4, "0")}]`);
}
