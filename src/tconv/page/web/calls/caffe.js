// Caffe: a Deconvolution layer, and the Convolution and Slice layers that add or crop the rest.

import { alike } from "./text.js";
import { any, bridge, crops, fullSizes, pads, wanted } from "./windows.js";

/** Protocol buffers' text of [field, value] pairs, a field a line; an array of values repeats the field. */
function prototxt(fields, indent = "") {
  const lines = fields.flatMap(([name, value]) => {
    if (value.fields) return [`${indent}${name} {`, prototxt(value.fields, `${indent}  `), `${indent}}`];
    return [value].flat().map((entry) => `${indent}${name}: ${entry}`);
  });
  return lines.join("\n");
}

const once = (values) => (alike(values) ? values[0] : values);

export function write(g) {
  const want = wanted(g);
  const pad = want.map(([lo, hi]) => Math.min(Math.max(lo, 0), Math.max(hi, 0)));
  const after = bridge(pad.map((p) => [p, p]), want);
  const steps = [["Deconvolution", deconvolution(g, pad)]];
  const notes = [];
  let cuts = crops(after);
  let sizes = fullSizes(g).map((size, a) => size - 2 * pad[a]);
  if (any(pads(after))) {
    // A 1x1 convolution by 1 pads: alike on both sides, so what is too much is cropped with the rest.
    const margin = pads(after).map((pair) => Math.max(...pair));
    cuts = cuts.map((pair, a) => pair.map((cut, side) => cut + margin[a] - pads(after)[a][side]));
    sizes = sizes.map((size, a) => size + 2 * margin[a]);
    steps.push(["Convolution", ones(g, margin)]);
    notes.push("Caffe pads no output: a depthwise 1x1 convolution, all of whose weights are 1, does it");
  }
  cuts.forEach(([lo, hi], a) => {
    if (!lo && !hi) return;
    const points = [...(lo ? [lo] : []), ...(hi ? [sizes[a] - hi] : [])];
    const fields = [["axis", 2 + a], ["slice_point", points]];
    const tops = (top) => [...(lo ? [`"${top}_before"`] : []), `"${top}"`, ...(hi ? [`"${top}_behind"`] : [])];
    steps.push(["Slice", ["slice_param", { fields }], tops]);
  });
  if (any(cuts)) notes.push("Caffe pads both sides equally and has no output padding: Slice layers crop the rest");
  return { code: steps.map((step, n) => layer(step, n, steps.length)).join("\n"), after, notes };
}

function layer([kind, settings, tops], n, count) {
  const top = n === count - 1 ? "y" : `y${n}`;
  const fields = [
    ["name", `"${n === 0 ? "up" : `up_${kind.toLowerCase()}_${n}`}"`],
    ["type", `"${kind}"`],
    ["bottom", `"${n === 0 ? "x" : `y${n - 1}`}"`],
    ["top", tops ? tops(top) : `"${top}"`],
    settings,
  ];
  return prototxt([["layer", { fields }]]);
}

function deconvolution(g, pad) {
  const sizes = [
    ["kernel_size", g.kernel, null],
    ["stride", g.stride, 1],
    ["pad", pad, 0],
    ["dilation", g.dilation, 1],
  ];
  const fields = [["num_output", g.outChannels]];
  for (const [name, values, preset] of sizes) {
    if (values.some((value) => value !== preset)) fields.push([name, once(values)]);
  }
  if (g.groups > 1) fields.push(["group", g.groups]);
  fields.push(["bias_term", "false"]);
  return ["convolution_param", { fields }];
}

function ones(g, margin) {
  const filler = { fields: [["type", '"constant"'], ["value", 1]] };
  const fields = [
    ["num_output", g.outChannels],
    ["kernel_size", 1],
    ["pad", once(margin)],
    ["group", g.outChannels],
    ["bias_term", "false"],
    ["weight_filler", filler],
  ];
  return ["convolution_param", { fields }];
}
