// Text as Python's repr() shows it, so that a fault reads the same in the browser and on the command line.

const NAMED = { "\n": "\\n", "\r": "\\r", "\t": "\\t", "\\": "\\\\" };
const PRINTABLE = /^[^\p{C}\p{Z}]$|^ $/u;

function escaped(character) {
  if (NAMED[character]) return NAMED[character];
  if (PRINTABLE.test(character)) return character;
  const code = character.codePointAt(0);
  const hex = code.toString(16);
  if (code < 0x100) return "\\x" + hex.padStart(2, "0");
  return code < 0x10000 ? "\\u" + hex.padStart(4, "0") : "\\U" + hex.padStart(8, "0");
}

/** `text` in quotes on one short line. */
export function shown(text) {
  const quote = text.includes("'") && !text.includes('"') ? '"' : "'";
  const inside = Array.from(text, (character) => (character === quote ? "\\" + quote : escaped(character)));
  const all = Array.from(quote + inside.join("") + quote);
  return all.length <= 60 ? all.join("") : all.slice(0, 57).join("") + "...";
}
