// Which part of the full output a call gives, which part is wanted, and the lines that bridge the two.
//
// A window is [lo, hi] on each axis: how many cells of the full output are cut off at either end; negative ones stand
// for cells beyond it, where nothing arrives and all is zero.

import { reach } from "../axis.js";
import { tuple } from "./text.js";

/** The sizes of the full output, before anything is cropped or added. */
export const fullSizes = (g) => g.axis.map((axis) => axis.full);

/** How many outputs the dilated kernel spans on each axis. */
export const spans = (g) => g.axis.map((axis) => reach(axis.kernel, axis.dilation));

/** The window of a geometry: output padding is a smaller hi. */
export const wanted = (g) => g.axis.map((axis) => [axis.lo, axis.hi - axis.outputPadding]);

/** The cells to add at either end of what a call gives; negative ones are cropped. */
export const bridge = (given, want) => given.map(([lo, hi], a) => [lo - want[a][0], hi - want[a][1]]);

/** The cells that a bridge adds; they come first, so that a crop may reach into them. */
export const pads = (after) => after.map((pair) => pair.map((side) => Math.max(side, 0)));

/** The cells that a bridge takes away, as positive numbers. */
export const crops = (after) => after.map((pair) => pair.map((side) => Math.max(-side, 0)));

/** Whether any side of any axis is not 0. */
export const any = (sides) => sides.flat().some((side) => side !== 0);

export const same = (a, b) => String(a) === String(b);

/** A Python subscript that crops; `leading` axes stand before the spatial ones. */
function slices(after, leading) {
  const cut = crops(after).map(([lo, hi]) => `${lo || ""}:${hi ? -hi : ""}`);
  return `[${[...new Array(leading).fill(":"), ...cut].join(", ")}]`;
}

/** The lines that pad and crop an array `y`; `pad` is a function of NumPy's signature. */
export function arrayLines(after, dataFirst, pad) {
  const lines = [];
  if (any(pads(after))) {
    const none = [0, 0];
    const sides = dataFirst === 2 ? [none, none, ...pads(after)] : [none, ...pads(after), none];
    lines.push(`y = ${pad}(y, ${tuple(sides)})`);
  }
  if (any(crops(after))) lines.push(`y = y${slices(after, dataFirst)}`);
  return lines;
}
