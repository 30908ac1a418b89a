// What the page shows: a problem, its numbers, a way of colouring, a step, a cell. Changes are announced as events:
// `problem` (cells come and go), `numbers`, `look` (colours), `cell` (what is pointed at), `fault`.

import { PRESETS } from "./filters.js";
import { Geometry } from "./geometry.js";
import { ORDERS, dot, stamped, windowed } from "./maps.js";
import { planeOf } from "./plane.js";
import { ProblemError } from "./spelling.js";

/** grid -> the lattice whose cells it shows; z is x with zeros inserted, r the turned w */
export const LATTICE = { x: "coarse", u: "coarse", w: "tap", y: "fine", v: "fine", z: "padded", r: "turned" };
export const EDITABLE = ["x", "w", "v"];

export class State extends EventTarget {
  geometry = null;
  plane = null;
  note = "";
  colour = "values";
  order = "coarse";
  step = null; // null: all steps are done
  chosen = { x: "counting", w: "counting", v: "counting" };
  seeds = { x: 1, w: 2, v: 3 };
  edits = { x: new Map(), w: new Map(), v: new Map() };
  numbers = {};
  hovered = null; // {grid, index}, as are the next two
  focused = null;
  pinned = null;

  announce(name, detail) {
    this.dispatchEvent(new CustomEvent(name, { detail }));
  }

  /** Show the problem that `text` spells; whether it could be. The last good one stays where it could not. */
  propose(text) {
    let geometry;
    try {
      geometry = Geometry.parse(text);
    } catch (fault) {
      if (!(fault instanceof ProblemError)) throw fault;
      this.announce("fault", { message: fault.message, text });
      return false;
    }
    this.geometry = geometry;
    Object.assign(this, planeOf(geometry));
    this.step = null;
    this.hovered = this.focused = this.pinned = null;
    this.announce("fault", { message: "", text });
    this.compute();
    this.announce("problem");
    return true;
  }

  /** Fill the grids anew from presets and edits, and both maps from the grids. */
  compute() {
    if (!this.plane) return;
    for (const grid of EDITABLE) {
      const preset = PRESETS[this.chosen[grid]];
      const values = preset(this.plane.size[LATTICE[grid]], { seed: this.seeds[grid], strides: this.plane.strides });
      for (const [place, value] of this.edits[grid]) {
        const index = this.plane.index(LATTICE[grid], place.split(",").map(Number));
        if (index >= 0) values[index] = value;
      }
      this.numbers[grid] = values;
    }
    const { x, w, v } = this.numbers;
    this.numbers.r = w.toReversed();
    const cells = this.plane.drawsZeros ? this.plane.count("padded") : 0;
    this.numbers.z = Float64Array.from({ length: cells }, (_, n) => x[this.plane.inputAt(n)] ?? 0);
    this.whole = { y: stamped(this.plane, x, w, x.length), u: windowed(this.plane, v, w, x.length) };
    this.products = [dot(this.whole.y.values, v), dot(x, this.whole.u.values)];
    this.follow();
  }

  /** The two maps as far as the steps have come. */
  follow() {
    const { x, w, v } = this.numbers;
    const [up, down] = ORDERS[this.order];
    const partly = () => ({ y: up(this.plane, x, w, this.step), u: down(this.plane, v, w, this.step) });
    Object.assign(this.numbers, this.step === null ? this.whole : partly());
  }

  /** The number of a cell; null where stepping has not come to it. */
  number(grid, index) {
    const of = this.numbers[grid];
    if (!("reached" in of)) return of[index]; // not the sums of a map
    return of.reached[index] || this.step === null ? of.values[index] : null;
  }

  get steps() {
    return this.plane.count(this.order);
  }

  choose(grid, preset) {
    if (preset === "random" && this.chosen[grid] === "random") this.seeds[grid] += 1;
    this.chosen[grid] = preset;
    this.edits[grid].clear();
    this.compute();
    this.announce("numbers");
  }

  edit(grid, index, value) {
    this.edits[grid].set(this.plane.at(LATTICE[grid], index).join(","), value);
    this.compute();
    this.announce("numbers");
  }

  paint(colour) {
    this.colour = colour;
    this.announce("look");
  }

  /** Walk the cells of `coarse` or `fine`. */
  walk(order) {
    this.order = order;
    this.goTo(null);
  }

  goTo(step) {
    if (!this.plane) return;
    this.step = step === null || step >= this.steps ? null : Math.max(0, step);
    this.follow();
    this.announce("numbers");
    this.announce("cell");
  }

  /** The cell that stands for another: an input among zeros for z, a tap for r. */
  source(cell) {
    if (cell?.grid === "r") return { grid: "w", index: this.plane.turn(cell.index) };
    const input = cell?.grid === "z" ? this.plane.inputAt(cell.index) : -1;
    return input >= 0 ? { grid: "x", index: input } : cell;
  }

  /** Set what is `hovered`, `focused` or `pinned`. */
  point(how, cell) {
    this[how] = this.source(cell);
    this.announce("cell", { how });
  }

  /** Pin a cell, or free it where it is pinned. */
  pin(given) {
    const cell = this.source(given);
    const same = this.pinned && this.pinned.grid === cell.grid && this.pinned.index === cell.index;
    this.point("pinned", same ? null : cell);
  }

  /** The cell that is shown: the pinned one before the hovered, the focused, and that of the step. */
  get cell() {
    return this.pinned ?? this.hovered ?? this.focused ?? this.stepped;
  }

  get stepped() {
    if (!this.step) return null;
    return { grid: this.order === "coarse" ? "x" : "y", index: this.step - 1 };
  }
}
