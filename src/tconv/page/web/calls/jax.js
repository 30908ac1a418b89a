// JAX's lax.conv_transpose: any padding, no groups; the kernel is not flipped unless `transpose_kernel`.

import { each, options, tuple } from "./text.js";
import { same, spans, wanted } from "./windows.js";

const LETTERS = { 1: "H", 2: "HW", 3: "HWD" }; // JAX's own default names of the axes

/** The window of "SAME" (output = input * stride) and "VALID" (as far as kernel or stride reach). */
function word(span, stride, padding) {
  if (padding === "VALID") return [0, Math.min(span - stride, 0)];
  const lo = Math.floor(Math.max(span - stride, 0) / 2);
  return [lo, span - stride - lo];
}

export function write(g) {
  const want = wanted(g);
  const reached = spans(g);
  const pairs = tuple(reached.map((span, a) => [span - 1 - want[a][0], span - 1 - want[a][1]]));
  const dilation = ["rhs_dilation", tuple(g.dilation), tuple(each(g, 1))];
  const none = each(g, [0, 0]);
  if (g.groups === 1) {
    const fitting = ["SAME", "VALID"].find((padding) => same(reached.map((span, a) => word(span, g.stride[a], padding)), want));
    const told = fitting ? `"${fitting}"` : pairs;
    return answer(`lax.conv_transpose(x, w, ${tuple(g.stride)}, ${told}${options([dilation])})`, none, []);
  }
  const [data, kernel] = [`N${LETTERS[g.axes]}C`, `${LETTERS[g.axes]}IO`];
  const settings = options([
    ["lhs_dilation", tuple(g.stride), tuple(each(g, 1))],
    dilation,
    ["dimension_numbers", `("${data}", "${kernel}", "${data}")`, ""],
    ["feature_group_count", String(g.groups), "1"],
  ]);
  return answer(`lax.conv_general_dilated(x, w, ${tuple(each(g, 1))}, ${pairs}${settings})`, none, [
    "lax.conv_transpose has no groups: lax.conv_general_dilated with an lhs_dilation has",
  ]);
}

const answer = (line, after, notes) => ({ code: `from jax import lax\ny = ${line}`, after, notes });
