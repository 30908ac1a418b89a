// TFLite's TRANSPOSE_CONV, written as a call: two axes, padding SAME or VALID, no dilation, no groups.

import { ProblemError } from "../spelling.js";
import { closest } from "./tensorflow.js";
import { largest, list, tuple } from "./text.js";
import { any, crops, pads, spans } from "./windows.js";

export function write(g) {
  if (g.axes !== 2) {
    throw new ProblemError(`${g}: TFLite's TRANSPOSE_CONV has 2 spatial axes, not ${g.axes}; 2 would fit`);
  }
  const { padding, out, after } = closest(g, false);
  const share = g.outChannels / g.groups;
  const spread = largest(g.dilation) > 1;
  const weights = spread ? "spread" : "w";
  const call = (w, x) =>
    `TRANSPOSE_CONV(${list([g.batch, ...out, share])}, ${w}, ${x}, padding="${padding[0]}", stride_h=${g.stride[0]}, stride_w=${g.stride[1]})`;
  const lines = spread || g.groups > 1 ? ["import numpy as np"] : [];
  const notes = [];
  if (spread) {
    const steps = g.dilation.map((d) => (d > 1 ? `::${d}` : ":")).join(", ");
    lines.push(`spread = np.zeros(${tuple([share, ...spans(g), g.inChannels])}, w.dtype)`, `spread[:, ${steps}] = w`);
    notes.push("TRANSPOSE_CONV has no dilation: the kernel has zeros between its taps instead");
  }
  if (g.groups === 1) {
    lines.push(`y = ${call(weights, "x")}`);
  } else {
    const parts = `zip(SPLIT(3, x, num_splits=${g.groups}), np.split(${weights}, ${g.groups}, 3))`;
    lines.push(`y = CONCATENATION([${call("v", "u")} for u, v in ${parts}], axis=3)`);
    notes.push(`TRANSPOSE_CONV has no groups: ${g.groups} of them, one per group`);
  }
  if (any(after)) notes.push("TRANSPOSE_CONV cannot express this padding: the rest is cropped or added after it");
  if (out.some((size, a) => size < g.stride[a])) {
    notes.push("XNNPACK, which TFLite uses by default, crashes where an output is smaller than the stride");
  }
  if (any(pads(after))) lines.push(`y = PAD(y, ${list([[0, 0], ...pads(after), [0, 0]].map(list))})`);
  if (any(crops(after))) {
    const begin = [0, ...crops(after).map(([lo]) => lo), 0];
    lines.push(`y = SLICE(y, ${list(begin)}, ${list([g.batch, ...g.output, g.outChannels])})`);
  }
  return { code: lines.join("\n"), after, notes };
}
