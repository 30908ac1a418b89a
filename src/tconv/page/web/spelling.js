// One spelling of a problem, read and written: `n1 c256>64 i64x64 k4 s2 p1`. The grammar is Geometry.parse's.

import { shown } from "./shown.js";

/** A problem that cannot be: one line of what was asked, what is wrong and what would fit. */
export class ProblemError extends Error {}

const GRAMMAR =
  "n batch, c in>out, i input, k kernel, s stride, p padding (lo:hi), o output padding, d dilation, " +
  "g groups, as in n1 c256>64 i64x64 k4 s2 p1";
const NUMBER = "[0-9]{1,12}";
const NUMBERS = `${NUMBER}(?:x${NUMBER})*`;
const SIDES = `-?${NUMBER}(?::-?${NUMBER})?`;
// letter -> [option, what may follow the letter, whether it is one per axis]
const WORDS = {
  n: ["batch", NUMBER, false],
  c: ["channels", `${NUMBER}>${NUMBER}`, false],
  i: ["input", NUMBERS, true],
  k: ["kernel", NUMBERS, true],
  s: ["stride", NUMBERS, true],
  p: ["padding", `${SIDES}(?:x${SIDES})*`, true],
  o: ["output_padding", NUMBERS, true],
  d: ["dilation", NUMBERS, true],
  g: ["groups", NUMBER, false],
};
// What Python's str.split() takes for white space; JavaScript's \s differs a little.
const SPACE = /[\t-\r\x1c-\x20\x85\xa0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000]+/;

function value(entry) {
  const numbers = entry.split(/[:>]/).map(Number);
  return numbers.length === 2 ? numbers : numbers[0];
}

/** The options that `text` spells, by name; its words may come in any order. */
export function read(text) {
  const found = new Map();
  for (const word of text.split(SPACE).filter(Boolean)) {
    const [name, pattern, many] = Object.hasOwn(WORDS, word[0]) ? WORDS[word[0]] : [];
    if (!name || !new RegExp(`^(?:${pattern})$`).test(word.slice(1))) {
      throw new ProblemError(`${shown(text)}: cannot read ${shown(word)}; the words are ${GRAMMAR}`);
    }
    if (found.has(name)) {
      throw new ProblemError(`${shown(text)}: ${shown(word)} gives ${name} a second time; once is enough`);
    }
    const entries = word.slice(1).split("x").map(value);
    found.set(name, many ? entries : entries[0]);
  }
  const missing = ["c", "i", "k"].filter((letter) => !found.has(WORDS[letter][0]));
  if (missing.length) {
    const names = missing.map((letter) => `${letter} (${WORDS[letter][0]})`);
    throw new ProblemError(`${shown(text)}: ${names.join(" and ")} missing; the words are ${GRAMMAR}`);
  }
  const axes = found.get("input").length;
  for (const [name, entries] of found) {
    if (name === "channels" || !Array.isArray(entries)) continue;
    if (entries.length === 1) {
      found.set(name, new Array(axes).fill(entries[0]));
    } else if (entries.length !== axes) {
      throw new ProblemError(
        `${shown(text)}: ${name} has ${entries.length} numbers and the input ${axes}; give one, or one per axis`,
      );
    }
  }
  return Object.fromEntries(found);
}

/** One number where all axes agree. */
export function short(entries) {
  return new Set(entries).size === 1 ? String(entries[0]) : entries.join("x");
}

/** The spelling of a geometry's options, without what equals its default (n is always there). */
export function write(g) {
  const sides = g.padding.map(([lo, hi]) => (lo === hi ? String(lo) : `${lo}:${hi}`));
  const words = [
    `n${g.batch}`,
    `c${g.inChannels}>${g.outChannels}`,
    "i" + g.input.join("x"),
    "k" + short(g.kernel),
    "s" + short(g.stride),
    "p" + short(sides),
    "o" + short(g.outputPadding),
    "d" + short(g.dilation),
    `g${g.groups}`,
  ];
  return words.filter((word) => !["s1", "p0", "o0", "d1", "g1"].includes(word)).join(" ");
}

/**
 * The problem in a line that people paste: the spelling itself, a line of a list of problems
 * (`NAME PROBLEM  # why`), or a report that holds `Geometry.parse('...')`.
 */
export function problemIn(line) {
  const quoted = /Geometry\.parse\((['"])(.*?)\1\)/.exec(line);
  if (quoted) return quoted[2];
  const bare = line.split("#", 1)[0].replace(/^ +| +$/g, "");
  return bare.replace(/^(?:[A-Za-z]{3}\w*|[A-Za-z]\w*_\w*)\s+(?=[ncikspodg]-?[0-9])/, "");
}
