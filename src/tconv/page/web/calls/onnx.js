// ONNX's ConvTranspose: it says all but negative padding.

import { list } from "./text.js";
import { any, bridge, crops, fullSizes, pads, wanted } from "./windows.js";

export function write(g) {
  const want = wanted(g);
  const full = fullSizes(g);
  // The runtimes refuse negative pads, an output padding of stride or more, and an empty output.
  const given = want.map(([lo, hi], a) => [
    Math.min(Math.max(lo, 0), full[a] - 1),
    Math.min(Math.max(hi, 1 - g.stride[a]), full[a] - 1),
  ]);
  const after = bridge(given, want);
  const sides = [...given.map(([lo]) => Math.max(lo, 0)), ...given.map(([, hi]) => Math.max(hi, 0))];
  const settings = [
    ["strides", g.stride, 1],
    ["pads", sides, 0],
    ["output_padding", given.map(([, hi]) => Math.max(-hi, 0)), 0],
    ["dilations", g.dilation, 1],
  ];
  const said = [`kernel_shape=${list(g.kernel)}`];
  for (const [name, values, preset] of settings) if (values.some((value) => value !== preset)) said.push(`${name}=${list(values)}`);
  if (g.groups > 1) said.push(`group=${g.groups}`);
  const steps = [
    [pads(after), 1],
    [crops(after), -1],
  ].filter(([amount]) => any(amount));
  const names = steps.length ? ["full", ...new Array(steps.length - 1).fill("grown"), "y"] : ["y"];
  const lines = [`    helper.make_node("ConvTranspose", ["x", "w"], ["${names[0]}"], ${said.join(", ")}),`];
  steps.forEach(([amount, sign], step) => {
    const flat = [0, 0, ...amount.map(([lo]) => signed(sign, lo)), 0, 0, ...amount.map(([, hi]) => signed(sign, hi))];
    lines.push(`    helper.make_node("Constant", [], ["sides_${step}"], value_ints=${list(flat)}),`);
    lines.push(`    helper.make_node("Pad", ["${names[step]}", "sides_${step}"], ["${names[step + 1]}"]),`);
  });
  const notes = steps.length ? ["ONNX takes no negative pads, nor an output_padding of stride or more: Pad does it"] : [];
  return { code: ["from onnx import helper", "nodes = [", ...lines, "]"].join("\n"), after, notes };
}

const signed = (sign, n) => (n === 0 ? 0 : sign * n); // -0 is not 0 to everyone
