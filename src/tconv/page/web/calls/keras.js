// Keras: padding is "same" or "valid", output padding is below the stride, and there are no groups.

import { largest, options, short, tuple } from "./text.js";
import { any, arrayLines, bridge, same, spans, wanted } from "./windows.js";

/** The window of one axis; `extra` is output_padding, null where it is left out. */
function window(span, stride, isSame, extra) {
  if (!isSame) return [0, -(extra ?? Math.max(stride - span, 0))];
  const total = span - (extra === null ? stride : (span % 2) + extra);
  const lo = Math.floor(Math.max(total, 0) / 2);
  return [lo, total - lo];
}

/** The output_padding that gives the window `want`: each gives another size, so one at most does. */
function extraFor(span, stride, isSame, [lo, hi]) {
  const extra = isSame ? span - (span % 2) - (lo + hi) : -hi;
  const able = extra >= 0 && extra < stride && same(window(span, stride, isSame, extra), [lo, hi]);
  // TensorFlow's backend takes no "same" of even reach with output padding 0.
  return able && !(isSame && extra === 0 && span % 2 === 0) ? extra : undefined;
}

/** {isSame, extra} that comes closest; exact ones first, the plainest of them first. */
function closest(g, reached, want) {
  for (const given of [false, true]) {
    for (const isSame of [false, true]) {
      const choices = reached.map((span, a) => {
        if (given) return extraFor(span, g.stride[a], isSame, want[a]);
        return same(window(span, g.stride[a], isSame, null), want[a]) ? null : undefined;
      });
      if (!choices.includes(undefined)) return { isSame, extra: given ? choices : null };
    }
  }
  const extra = want.map(([, hi], a) => Math.min(Math.max(-hi, 0), g.stride[a] - 1));
  const plain = reached.map((span, a) => Math.max(g.stride[a] - span, 0));
  return { isSame: false, extra: same(extra, plain) ? null : extra };
}

export function write(g) {
  const spread = largest(g.stride) > 1 && largest(g.dilation) > 1;
  const reached = spans(g);
  const want = wanted(g);
  const { isSame, extra } = closest(g, reached, want);
  const after = bridge(reached.map((span, a) => window(span, g.stride[a], isSame, extra ? extra[a] : null)), want);
  const settings = options([
    ["strides", short(g.stride), "1"],
    ["padding", isSame ? '"same"' : '"valid"', '"valid"'],
    ["output_padding", extra ? short(extra) : "None", "None"],
    ["dilation_rate", spread ? "1" : short(g.dilation), "1"],
  ]);
  const kernel = spread ? reached : g.kernel;
  const line = `keras.layers.Conv${g.axes}DTranspose(${g.outChannels / g.groups}, ${short(kernel)}${settings}, use_bias=False)`;
  const notes = [];
  const lines = ["import keras"];
  if (spread) {
    const steps = g.dilation.map((d) => (d > 1 ? `::${d}` : ":")).join(", ");
    const shape = tuple([...kernel, g.outChannels / g.groups, g.inChannels]);
    lines.push("import numpy as np", `spread = np.zeros(${shape}, w.dtype)`, `spread[${steps}] = w`);
    notes.push("Keras takes no stride with dilation: the kernel has zeros between its taps instead");
  }
  lines.push(...layers(g, line, spread ? "spread" : "w"));
  if (g.groups > 1) notes.push(`Keras has no groups: ${g.groups} layers, one per group`);
  if (any(after)) notes.push("Keras crops only as same or valid do: the rest is cropped or added after the call");
  lines.push(...arrayLines(after, 1, "keras.ops.pad"));
  return { code: lines.join("\n"), after, notes };
}

function layers(g, line, weights) {
  if (g.groups === 1) return [`layer = ${line}`, "layer.build(x.shape)", `layer.set_weights([${weights}])`, "y = layer(x)"];
  const share = g.inChannels / g.groups;
  return [
    "parts = []",
    `for first in range(0, ${g.inChannels}, ${share}):`,
    `    part = x[..., first : first + ${share}]`,
    `    layer = ${line}`,
    "    layer.build(part.shape)",
    `    layer.set_weights([${weights}[..., first : first + ${share}]])`,
    "    parts.append(layer(part))",
    "y = keras.ops.concatenate(parts, axis=-1)",
  ];
}
