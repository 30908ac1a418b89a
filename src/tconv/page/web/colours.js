// How cells are coloured: by value, by phase, by coverage.

import { format } from "./arithmetic.js";
import { LATTICE } from "./state.js";

const FINE = ["y", "v"];

/** The hue of phase `n` of `count`: neighbours differ, however many there are. */
export const hueOf = (n, count) => Math.round((count <= 12 ? (n * 360) / count : n * 137.508) + 205) % 360;

/** {texts, levels, hues} of a grid; a level is the strength of a cell's colour, -1 to 1. */
export function look(state, grid) {
  const lattice = LATTICE[grid];
  const size = state.plane.count(lattice);
  const numbers = Array.from({ length: size }, (_, n) => state.number(grid, n));
  const texts = numbers.map((value) => (value === null ? null : format(value)));
  if (state.colour === "coverage" && FINE.includes(grid)) {
    const coverage = state.plane.coverage();
    return { texts: coverage.map(String), levels: levels(coverage), hues: null };
  }
  return { texts, levels: levels(numbers), hues: state.colour === "phases" ? phases(state, grid, size) : null };
}

function levels(numbers) {
  const largest = numbers.reduce((most, value) => Math.max(most, Math.abs(value ?? 0)), 0);
  return numbers.map((value) => (value === null || largest === 0 ? 0 : value / largest));
}

/** The hue of each cell's phase; null where the phase has no tap. */
function phases(state, grid, size) {
  const { plane } = state;
  if (["coarse", "padded"].includes(LATTICE[grid])) return null;
  const count = plane.strides.reduce((all, s) => all * s, 1);
  const filled = new Set(Array.from({ length: plane.count("tap") }, (_, n) => plane.phase("tap", n)));
  return Array.from({ length: size }, (_, n) => {
    const phase = grid === "r" ? plane.phase("tap", plane.turn(n)) : plane.phase(LATTICE[grid], n);
    return filled.has(phase) ? hueOf(phase, count) : null;
  });
}
