// TensorFlow's tf.nn.conv*_transpose: a convolution's gradient; padding is a word or, in 2-D, numbers.

import { each, largest, list, options, short } from "./text.js";
import { any, arrayLines, bridge, fullSizes, same, spans, wanted } from "./windows.js";

/** Whether the convolution of `out` with this padding gives `size`, as TensorFlow checks. */
function says(size, span, stride, padding, out) {
  if (padding === "SAME") return Math.ceil(out / stride) === size;
  const [lo, hi] = padding === "VALID" ? [0, 0] : padding;
  return out + lo + hi >= span && Math.floor((out + lo + hi - span) / stride) + 1 === size;
}

/** The window of one axis; SAME crops half of (size-1) * stride + span - out in front, rounded down. */
function window(size, span, stride, padding, out) {
  const full = (size - 1) * stride + span;
  const lo = padding === "SAME" ? Math.floor(Math.max(full - out, 0) / 2) : padding === "VALID" ? 0 : padding[0];
  return [lo, full - lo - out];
}

/** {padding, out, after}: what comes closest, and what is left; the exact and plain ones first. */
export function closest(g, byNumbers) {
  const want = wanted(g);
  const reached = spans(g);
  const given = (padding, out) => g.input.map((size, a) => window(size, reached[a], g.stride[a], padding[a], out[a]));
  const tries = [each(g, "SAME"), each(g, "VALID")];
  if (byNumbers) tries.push(want.map((pair) => pair.map((side) => Math.max(side, 0))));
  for (const padding of tries) {
    const able = g.input.every((size, a) => says(size, reached[a], g.stride[a], padding[a], g.output[a]));
    if (able && same(given(padding, g.output), want)) return { padding, out: g.output, after: bridge(want, want) };
  }
  // The full output with as many cells at the end as fit, then cropped.
  const padding = each(g, "VALID");
  const out = fullSizes(g).map((size, a) => size + Math.min(Math.max(-want[a][1], 0), g.stride[a] - 1));
  return { padding, out, after: bridge(given(padding, out), want) };
}

export function write(g) {
  const { padding, out, after } = closest(g, g.axes === 2 && largest(g.dilation) === 1);
  const [first] = padding;
  const told = typeof first === "string" ? `"${first}"` : list([[0, 0], ...padding, [0, 0]].map(list));
  const shape = list([g.batch, ...out, g.outChannels / g.groups]);
  const settings = options([
    ["strides", short(g.stride), ""],
    ["padding", told, '"SAME"'],
    ["dilations", short(g.dilation), "1"],
  ]);
  const call = (x, w) => `tf.nn.conv${g.axes}d_transpose(${x}, ${w}, output_shape=${shape}${settings})`;
  const notes = [];
  const lines = ["import tensorflow as tf"];
  if (g.groups === 1) {
    lines.push(`y = ${call("x", "w")}`);
  } else {
    lines.push(`y = tf.concat([${call("u", "v")} for u, v in zip(tf.split(x, ${g.groups}, -1), tf.split(w, ${g.groups}, -1))], -1)`);
    notes.push(`TensorFlow has no groups: ${g.groups} calls, one per group`);
  }
  if (any(after)) notes.push("TensorFlow cannot express this padding: the rest is cropped or added after the call");
  if (largest(g.dilation) > 1) notes.push("TensorFlow on a CPU takes dilations only with oneDNN");
  lines.push(...arrayLines(after, 1, "tf.pad"));
  return { code: lines.join("\n"), after, notes };
}
