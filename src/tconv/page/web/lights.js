// Which cells light up for a cell: its twin, and everything that it shares a product with.

import { letters } from "./arithmetic.js";
import { LATTICE } from "./state.js";

/** grid -> {cells, ghosts, ringed, marks, under}; `under` is what the turned kernel covers */
export function lights(state) {
  const { cell, plane } = state;
  const dark = { cells: new Set(), ghosts: new Set(), ringed: -1, marks: new Map(), under: [] };
  if (!cell) return Object.fromEntries(Object.keys(LATTICE).map((grid) => [grid, dark]));
  const own = LATTICE[cell.grid];
  const pairs = plane.pairs(own, cell.index);
  const signs = letters(pairs);
  const of = {};
  for (const lattice of new Set(Object.values(LATTICE))) {
    const cells = new Set();
    const ghosts = new Set();
    const marks = new Map();
    pairs.forEach((pair, n) => {
      const at = plane.cellOf(pair, lattice);
      if (at >= 0) {
        cells.add(at);
        if (signs[n] && lattice !== own) marks.set(at, signs[n]);
      } else {
        ghosts.add(pair.place.join(","));
      }
    });
    const under = own === "fine" && lattice === "padded" ? plane.windowOf(cell.index) : [];
    of[lattice] = { cells, ghosts, ringed: lattice === own ? cell.index : -1, marks, under };
  }
  return Object.fromEntries(Object.entries(LATTICE).map(([grid, lattice]) => [grid, of[lattice]]));
}
