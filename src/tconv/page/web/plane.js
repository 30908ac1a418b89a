// What is drawn: one channel pair of a problem, as cells of three axes: slices, rows, columns.
//
// Lattices: `coarse` (x, and u of the convolution), `tap` (the kernel), `fine` (y, and v), `padded` (x with zeros
// inserted) and `turned` (the kernel turned by 180 degrees). A pair is one product: coarse cell, tap, and the fine
// cell where they meet, -1 where that cell is cropped away.

import { Axis } from "./axis.js";

const LONGEST = { 1: 96, 2: 72, 3: 8 }; // cells along an axis, by the number of axes
const MOST_PADDED = 6000; // cells of the input with zeros
const MOST_KEPT = 200_000; // products that are remembered, since each step adds up all before it
const MOST_GHOSTS = 8; // cropped cells drawn beyond an edge
const POINT = new Axis({ input: 1, kernel: 1, stride: 1, lo: 0, hi: 0, outputPadding: 0, dilation: 1 });

/** Every choice of one entry of each list; the last list's entries follow each other. */
const choices = (lists) => lists.reduce((all, list) => all.flatMap((head) => list.map((one) => [...head, one])), [[]]);
const product = (numbers) => numbers.reduce((all, n) => all * n, 1);

export class Plane {
  /** Of one, two or three axes; the missing ones come first, with a single cell. */
  constructor(given) {
    this.rank = given.length;
    this.axes = [...new Array(3 - given.length).fill(POINT), ...given];
    const sizes = (of) => this.axes.map(of);
    this.size = {
      coarse: sizes((axis) => axis.input),
      tap: sizes((axis) => axis.kernel),
      fine: sizes((axis) => axis.output),
      padded: sizes((axis) => axis.padded),
      turned: sizes((axis) => axis.kernel),
    };
    this.strides = sizes((axis) => axis.stride);
    this.ghosts = sizes(ghosts);
    this.kept = this.count("coarse") * this.count("tap") <= MOST_KEPT ? new Map() : null;
  }

  /** One row without a number. */
  get flat() {
    return this.rank === 1;
  }

  /** Whether the input with zeros is small enough to be drawn. */
  get drawsZeros() {
    return this.count("padded") <= MOST_PADDED;
  }

  count(lattice) {
    return product(this.size[lattice]);
  }

  /** (slice, row, column) of a cell. */
  at(lattice, index) {
    const [, rows, columns] = this.size[lattice];
    return [Math.floor(index / (rows * columns)), Math.floor(index / columns) % rows, index % columns];
  }

  /** The index of a cell; -1 where there is none. */
  index(lattice, place) {
    const [slices, rows, columns] = this.size[lattice];
    const [z, r, c] = place;
    const inside = z >= 0 && z < slices && r >= 0 && r < rows && c >= 0 && c < columns;
    return inside ? (z * rows + r) * columns + c : -1;
  }

  /** How a cell is written: `2, 3` or, on a line, `3`. */
  label(lattice, index) {
    return this.at(lattice, index).slice(3 - this.rank).join(", ");
  }

  /** Every product that a cell takes part in. */
  pairs(lattice, index) {
    const key = `${lattice} ${index}`;
    const pairs = this.kept?.get(key) ?? this[lattice](this.at(lattice, index));
    this.kept?.set(key, pairs);
    return pairs;
  }

  fine(place) {
    const along = this.axes.map((axis, a) => axis.tapsOfOutput(place[a]));
    return choices(along).map((all) => this.pair(all.map(([i]) => i), all.map(([, t]) => t), place));
  }

  coarse(place) {
    const along = this.axes.map((axis, a) => axis.spreadOfInput(place[a]));
    return choices(along).map((all) => this.pair(place, all.map(([, t]) => t), all.map(([o]) => o)));
  }

  tap(place) {
    const along = this.axes.map((axis, a) => axis.usesOfTap(place[a]));
    return choices(along).map((all) => this.pair(all.map(([i]) => i), place, all.map(([, o]) => o)));
  }

  /** An inserted zero takes part in nothing; an input that stands there is pointed at as that input. */
  padded() {
    return [];
  }

  pair(inputs, taps, outputs) {
    return {
      coarse: this.index("coarse", inputs),
      tap: this.index("tap", taps),
      fine: this.index("fine", outputs),
      place: outputs,
    };
  }

  /** The cell of a lattice that takes part in a pair. */
  cellOf(pair, lattice) {
    if (lattice === "turned") return this.turn(pair.tap);
    if (lattice !== "padded") return pair[lattice];
    return this.index("padded", this.at("coarse", pair.coarse).map((i, a) => this.axes[a].placeOfInput(i)));
  }

  /** Where a tap stands in the turned kernel, and the other way round. */
  turn(tap) {
    return this.count("tap") - 1 - tap;
  }

  /** The input at a cell of the input with zeros; -1 where a zero is. */
  inputAt(index) {
    return this.index("coarse", this.at("padded", index).map((c, a) => this.axes[a].inputAt(c)));
  }

  /** The cells of the input with zeros that the turned kernel covers for a fine cell. */
  windowOf(index) {
    const place = this.at("fine", index);
    const along = this.axes.map((axis, a) => axis.windowOf(place[a]).map(([cell]) => cell));
    return choices(along).map((cell) => this.index("padded", cell));
  }

  /** For each fine cell how many products make it. */
  coverage() {
    return choices(this.axes.map((axis) => axis.coverage())).map(product);
  }

  /** The number of the phase that a fine cell or a tap belongs to, 0 to the product of the strides - 1. */
  phase(lattice, index) {
    const of = lattice === "tap" ? "phaseOfTap" : "phaseOfOutput";
    const place = this.at(lattice, index);
    return this.phaseNumber(this.axes.map((axis, a) => axis[of](place[a])));
  }

  /** The number of the phase with these residues. */
  phaseNumber(residues) {
    return residues.reduce((all, residue, a) => all * this.strides[a] + residue, 0);
  }
}

/** Cropped cells [before, after] that are drawn as ghosts: none where they are many. */
function ghosts(axis) {
  const sides = [Math.max(0, axis.lo), Math.max(0, axis.full - axis.lo - axis.output)];
  return sides.map((n) => (n <= MOST_GHOSTS ? n : 0));
}

/** {plane, note}: what is drawn of a geometry and, where that is not all of it, a sentence that says so. */
export function planeOf(geometry) {
  const notes = [];
  let drawn = geometry.axis;
  const limit = LONGEST[drawn.length];
  if (drawn.some((axis) => axis.kernel > limit)) {
    notes.push(`A kernel of ${geometry.kernel.join(" x ")} has too many cells to draw; what is said below holds.`);
    return { plane: null, note: notes.join(" ") };
  }
  if (drawn.some((axis) => tooLong(axis, limit))) {
    drawn = drawn.map((axis) => shortened(axis, limit));
    if (drawn.includes(null)) {
      notes.push("This problem has too many cells to draw; what is said below holds.");
      return { plane: null, note: notes.join(" ") };
    }
    const sizes = drawn.map((axis) => axis.input).join(" x ");
    notes.push(`Drawn with an input of ${sizes} cells, since all of it would be too small to see. What is said below is of the whole problem.`);
  }
  if (geometry.axes === 3) notes.push("Three axes are drawn as slices along the first.");
  if (geometry.inChannels * geometry.outChannels > 1) notes.push("Drawn is one pair of channels; an output channel adds up such pictures.");
  return { plane: new Plane(drawn), note: notes.join(" ") };
}

const tooLong = (axis, limit) => axis.input > limit || axis.output > limit;

/** The axis with as many inputs as can be drawn; null where not even one can. */
function shortened(axis, limit) {
  if (!tooLong(axis, limit)) return axis;
  for (let input = Math.min(axis.input, 32); input >= 1; input--) {
    const shorter = new Axis({ ...axis, input });
    if (shorter.input <= limit && shorter.output >= 1 && shorter.output <= limit) return shorter;
  }
  return null;
}
