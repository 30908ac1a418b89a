// The arithmetic of one cell, written out: in symbols, in numbers, and as a sentence to be read aloud.

import { short } from "./spelling.js";
import { LATTICE } from "./state.js";

const MOST_TERMS = 9;

/** A number as it is read: whole ones in full, others in four digits. */
export function format(value) {
  const plain = Number.isInteger(value) && Math.abs(value) < 1e12;
  const rounded = plain ? value : Number(value.toPrecision(4));
  const far = !plain && rounded !== 0 && (Math.abs(rounded) >= 1e6 || Math.abs(rounded) < 1e-4);
  return (far ? rounded.toExponential(2) : String(rounded)).replaceAll("-", "−");
}

/** A factor of a product: a negative number stands in brackets. */
const factor = (value) => (value < 0 ? `(${format(value)})` : format(value));

const count = (n, one, many = `${one}s`) => `${n} ${n === 1 ? one : many}`;

/** The left card and the right one: which grid takes the sums, and which gives to them. */
const CARDS = [
  { takes: "y", gives: "x" },
  { takes: "u", gives: "v" },
];

/**
 * What the cards say of a cell: {up, down, zeros}, each {title, target, terms, rest, total, remark}, where a term is
 * {at, tap, a, b, letter}, a product of two cells by name and by number.
 */
export function explain(state, cell) {
  const lattice = LATTICE[cell.grid];
  if (lattice === "padded") return { zeros: zero(state, cell.index) };
  const pairs = state.plane.pairs(lattice, cell.index);
  const zeros = state.plane.drawsZeros ? ZEROS[lattice](state, cell.index, pairs) : undefined;
  if (lattice === "tap") return { up: uses(state, cell.index, pairs), down: gradient(state, cell.index, pairs), zeros };
  const [up, down] = CARDS.map((card) => {
    const sum = LATTICE[card.takes] === lattice;
    return (sum ? gather : spread)(state, card, cell.index, pairs);
  });
  return { up, down, zeros };
}

/** lattice -> what the card of the inserted zeros says of its cells */
const ZEROS = {
  fine(state, index, pairs) {
    const marks = letters(pairs);
    const all = pairs
      .map((pair, n) => ({
        at: name(state, "z", state.plane.cellOf(pair, "padded")),
        tap: name(state, "r", state.plane.turn(pair.tap)),
        a: state.numbers.x[pair.coarse],
        b: state.numbers.w[pair.tap],
        letter: marks[n],
      }));
    const wasted = state.plane.count("tap") - pairs.length;
    return {
      title: `The window begins at z[${state.plane.label("fine", index)}]`,
      kind: "sum",
      target: name(state, "y", index),
      ...shortened(all),
      total: format(all.reduce((sum, { a, b }) => sum + a * b, 0)),
      remark: wasted ? `${wasted} of its ${count(state.plane.count("tap"), "product")} ${wasted === 1 ? "is" : "are"} with an inserted zero.` : "",
    };
  },
  coarse(state, index, [pair]) {
    const padded = state.plane.cellOf(pair, "padded");
    const apart = state.plane.axes.slice(3 - state.plane.rank).map((axis) => axis.stride - 1);
    return {
      title: "An input among zeros",
      kind: "stamp",
      target: padded < 0 ? name(state, "x", index) : name(state, "z", padded),
      ...shortened([]),
      total: format(state.numbers.x[index]),
      remark: padded < 0 ? "It is cropped: no window holds it." : `Zeros to the next input: ${short(apart)}.`,
    };
  },
  tap(state, index) {
    return {
      title: "A tap, turned by 180 degrees",
      kind: "stamp",
      target: name(state, "r", state.plane.turn(index)),
      ...shortened([]),
      total: format(state.numbers.w[index]),
      remark: `In w it is ${name(state, "w", index)}.`,
    };
  },
};

function zero(state, index) {
  const nothing = { kind: "stamp", ...shortened([]), total: "0", remark: "Every product with it is wasted work." };
  return { title: "An inserted zero", target: name(state, "z", index), ...nothing };
}

/** The letters that join a term with its cells: none where they are many. */
export function letters(pairs) {
  const few = pairs.length > 1 && pairs.length <= MOST_TERMS;
  return pairs.map((_, n) => (few ? "abcdefghi"[n] : ""));
}

function terms(state, pairs, grid) {
  const marks = letters(pairs);
  return pairs
    .map((pair, n) => ({ ...pair, letter: marks[n] }))
    .filter((pair) => pair[LATTICE[grid]] >= 0)
    .map((pair) => ({
      at: name(state, grid, pair[LATTICE[grid]]),
      tap: name(state, "w", pair.tap),
      a: state.numbers[grid][pair[LATTICE[grid]]],
      b: state.numbers.w[pair.tap],
      letter: pair.letter,
      fine: pair.fine,
      coarse: pair.coarse,
    }));
}

const name = (state, grid, index) => `${grid}[${state.plane.label(LATTICE[grid], index)}]`;

/** A cell as the sum of what is given to it. */
function gather(state, { takes, gives }, index, pairs) {
  const all = terms(state, pairs, gives);
  const total = all.reduce((sum, { a, b }) => sum + a * b, 0);
  const outside = pairs.length - all.length;
  const remark = all.length === 0 ? "No tap reaches this cell: it holds the bias alone, here 0." : "";
  const zeros = outside ? `${count(outside, "tap")} of the window ${outside === 1 ? "meets" : "meet"} the padding, zeros.` : "";
  return {
    title: takes === "y" ? `An output gathers ${count(all.length, "product")}` : `A window of ${count(all.length, "product")}`,
    kind: "sum",
    target: name(state, takes, index),
    ...shortened(all),
    total: format(total),
    remark: remark || zeros,
  };
}

/** What a cell gives to others. */
function spread(state, { takes, gives }, index, pairs) {
  const kept = pairs.filter((pair) => pair[LATTICE[takes]] >= 0);
  const marks = letters(pairs);
  const value = state.numbers[gives][index];
  const all = pairs
    .map((pair, n) => ({ pair, letter: marks[n] }))
    .filter(({ pair }) => pair[LATTICE[takes]] >= 0)
    .map(({ pair, letter }) => ({
      to: name(state, takes, pair[LATTICE[takes]]),
      a: value,
      b: state.numbers.w[pair.tap],
      tap: name(state, "w", pair.tap),
      letter,
    }));
  const lost = pairs.length - kept.length;
  return {
    title: gives === "x" ? `An input stamps ${count(kept.length, "output")}` : `A cell is seen by ${count(kept.length, "window")}`,
    kind: "stamp",
    target: name(state, gives, index),
    ...shortened(all),
    total: format(value),
    remark: lost ? `${count(lost, "product")} ${lost === 1 ? "falls" : "fall"} outside and ${lost === 1 ? "is" : "are"} cropped.` : "",
  };
}

/** Where a tap is used. */
function uses(state, index, pairs) {
  const value = state.numbers.w[index];
  const all = terms(state, pairs, "x").map((term) => ({ ...term, to: name(state, "y", term.fine), a: term.a, b: value }));
  return {
    title: `A tap is shared by ${count(pairs.length, "position")}`,
    kind: "stamp",
    target: name(state, "w", index),
    ...shortened(all),
    total: format(value),
    remark: pairs.length ? "" : "None of its products lands inside the output.",
  };
}

/** The tap's gradient, were v the gradient of y. */
function gradient(state, index, pairs) {
  const all = terms(state, pairs, "x").map((term) => ({
    ...term,
    tap: name(state, "v", term.fine),
    b: state.numbers.v[term.fine],
  }));
  return {
    title: "Its gradient sums over all of them",
    kind: "sum",
    target: `dL/d${name(state, "w", index)}`,
    ...shortened(all),
    total: format(all.reduce((sum, { a, b }) => sum + a * b, 0)),
    remark: "Here v is taken as dL/dy, the gradient that arrives from above.",
  };
}

function shortened(all) {
  const shown = all.length > MOST_TERMS ? all.slice(0, MOST_TERMS - 1) : all;
  return { terms: shown, rest: all.length - shown.length };
}

/**
 * The lines of an explanation: symbols, numbers, result. A line is a list of terms, a term a list of pieces of text,
 * each with the grid it speaks of, or with "letter".
 */
export function lines({ kind, target, terms: shown, rest, total }) {
  const more = rest ? [[[`and ${rest} more`]]] : [];
  const is = (text) => [[text.replace(/^dL\/d/, ""), target.replace(/^dL\/d/, "")[0]]];
  const head = target.startsWith("dL/d") ? [["dL/d"], ...is(target)] : is(target);
  if (kind === "stamp") {
    const adds = shown.map(({ to, a, b, letter }) => [[letter, "letter"], [to, to[0]], [` += ${factor(a)}·${factor(b)}`]]);
    return [[[...head, [` = ${total}`]]], [...adds, ...more]].filter((line) => line.length);
  }
  if (!shown.length) return [[[...head, [" = 0"]]]];
  const plus = (n) => [n ? "+ " : "= "];
  const symbols = shown.map(({ at, tap, letter }, n) => [plus(n), [letter, "letter"], [at, at[0]], ["·"], [tap, tap[0]]]);
  const numbers = shown.map(({ a, b }, n) => [plus(n), [factor(a)], ["·"], [factor(b)]]);
  return [[head, ...symbols, ...more], [...numbers, ...more], [[["= "], [total]]]];
}

/** One sentence for a screen reader. */
export function spoken({ title, kind, target, terms: shown, rest, total, remark }) {
  const more = rest ? `, and ${rest} more` : "";
  const parts = shown.map(({ at, to, tap, a, b }) => (kind === "sum" ? `${at} times ${tap}, ${format(a)} times ${format(b)}` : `${to}`));
  return `${target} is ${total}. ${title}${parts.length ? `: ${parts.join("; ")}${more}` : ""}. ${remark}`.trim();
}
