// PyTorch: symmetric padding, output padding below max(stride, dilation); all else is cropped or padded.

import { options, short, tuple } from "./text.js";
import { any, arrayLines, bridge, crops, pads, wanted } from "./windows.js";

/** The padding and output padding that come closest to the window (lo, hi). */
function closest(axis, [lo, hi]) {
  const most = axis.paddingChoices - 1;
  if (lo >= 0 && lo - hi >= 0 && lo - hi <= most) return [lo, lo - hi];
  const padding = Math.max(0, Math.min(lo, hi));
  return [padding, Math.min(Math.max(padding - hi, 0), most)];
}

export function write(g) {
  const want = wanted(g);
  const said = g.axis.map((axis, a) => closest(axis, want[a]));
  const after = bridge(said.map(([p, o]) => [p, p - o]), want);
  const settings = options([
    ["stride", short(g.stride), "1"],
    ["padding", short(said.map(([p]) => p)), "0"],
    ["output_padding", short(said.map(([, o]) => o)), "0"],
    ["dilation", short(g.dilation), "1"],
    ["groups", String(g.groups), "1"],
  ]);
  const line = `nn.ConvTranspose${g.axes}d(${g.inChannels}, ${g.outChannels}, ${short(g.kernel)}${settings}, bias=False)`;
  const grows = any(pads(after));
  const lines = ["import torch.nn as nn", ...(grows ? ["import torch.nn.functional as F"] : [])];
  lines.push(`layer = ${line}`, "layer.weight.data = w", "y = layer(x)");
  const notes = [];
  if (grows) {
    lines.push(`y = F.pad(y, ${tuple(pads(after).reverse().flat())})`);
    notes.push("PyTorch pads both sides equally: cells are added after the call, before any bias");
  }
  if (any(crops(after))) {
    lines.push(...arrayLines(after.map((pair) => pair.map((side) => Math.min(side, 0))), 2, ""));
    notes.push("PyTorch pads both sides equally: the output is cropped after the call");
  }
  return { code: lines.join("\n"), after, notes };
}
