// The plane that is drawn: one channel pair of a problem, as rows and columns of cells.
//
// Three lattices: `coarse` (x, and u of the convolution), `tap` (the kernel) and `fine` (y, and v). A pair is one
// product: coarse cell, tap, and the fine cell where they meet, -1 where that cell is cropped away.

import { Axis } from "./axis.js";

const LONGEST = { 1: 96, 2: 72 }; // cells along an axis, by the number of axes that are drawn
const MOST_GHOSTS = 8; // cropped cells drawn beyond an edge
const POINT = new Axis({ input: 1, kernel: 1, stride: 1, lo: 0, hi: 0, outputPadding: 0, dilation: 1 });

export class Plane {
  constructor(rows, columns, axes) {
    this.rows = rows;
    this.columns = columns;
    this.flat = axes === 1;
    this.size = {
      coarse: [rows.input, columns.input],
      tap: [rows.kernel, columns.kernel],
      fine: [rows.output, columns.output],
    };
    this.strides = [rows.stride, columns.stride];
    this.ghosts = [ghosts(rows), ghosts(columns)];
  }

  count(lattice) {
    return this.size[lattice][0] * this.size[lattice][1];
  }

  /** (row, column) of a cell. */
  at(lattice, index) {
    const across = this.size[lattice][1];
    return [Math.floor(index / across), index % across];
  }

  /** The index of a cell; -1 where there is none. */
  index(lattice, row, column) {
    const [down, across] = this.size[lattice];
    return row >= 0 && row < down && column >= 0 && column < across ? row * across + column : -1;
  }

  /** How a cell is written: `2, 3` or, on a line, `3`. */
  label(lattice, index) {
    const [row, column] = this.at(lattice, index);
    return this.flat ? String(column) : `${row}, ${column}`;
  }

  /** Every product that a cell takes part in. */
  pairs(lattice, index) {
    return this[lattice](...this.at(lattice, index));
  }

  fine(row, column) {
    const across = this.columns.tapsOfOutput(column);
    return this.rows
      .tapsOfOutput(row)
      .flatMap(([i, t]) => across.map(([j, q]) => this.pair(i, j, t, q, row, column)));
  }

  coarse(row, column) {
    const across = this.columns.spreadOfInput(column);
    return this.rows.spreadOfInput(row).flatMap(([o, t]) => across.map(([p, q]) => this.pair(row, column, t, q, o, p)));
  }

  tap(row, column) {
    const pairs = [];
    const [top, bottom] = this.rows.inputsOfTap(row);
    const [left, right] = this.columns.inputsOfTap(column);
    for (let i = top; i < bottom; i++) {
      for (let j = left; j < right; j++) {
        const o = i * this.rows.stride + row * this.rows.dilation - this.rows.lo;
        const p = j * this.columns.stride + column * this.columns.dilation - this.columns.lo;
        pairs.push(this.pair(i, j, row, column, o, p));
      }
    }
    return pairs;
  }

  pair(i, j, t, q, o, p) {
    return {
      coarse: this.index("coarse", i, j),
      tap: this.index("tap", t, q),
      fine: this.index("fine", o, p),
      place: [o, p],
    };
  }

  /** For each fine cell how many products make it. */
  coverage() {
    const across = this.columns.coverage();
    return this.rows.coverage().flatMap((down) => across.map((n) => down * n));
  }

  /** The number of the phase that a fine cell or a tap belongs to, 0 to s*s - 1. */
  phase(lattice, index) {
    const [row, column] = this.at(lattice, index);
    const of = lattice === "tap" ? "phaseOfTap" : "phaseOfOutput";
    return this.rows[of](row) * this.columns.stride + this.columns[of](column);
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
  let drawn = geometry.axis.slice(-2);
  if (geometry.axes === 3) {
    notes.push("Three axes work like two: drawn are the last two, height and width. The sizes, the work and the calls below are those of all three.");
  }
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
  if (geometry.inChannels * geometry.outChannels > 1) notes.push("Drawn is one pair of channels; an output channel adds up such pictures.");
  const plane = drawn.length === 1 ? new Plane(POINT, drawn[0], 1) : new Plane(drawn[0], drawn[1], 2);
  return { plane, note: notes.join(" ") };
}

const tooLong = (axis, limit) => axis.input > limit || axis.output > limit;

/** The axis with as many inputs as can be drawn; null where not even one can. */
function shortened(axis, limit) {
  if (!tooLong(axis, limit)) return axis;
  for (let input = Math.min(axis.input, 32); input >= 1; input--) {
    const shorter = new Axis({ ...axis, input });
    if (shorter.output >= 1 && shorter.output <= limit) return shorter;
  }
  return null;
}

