// What a problem comes to, in words and numbers: size, zeros, phases, coverage, work, channels.

import { hueOf } from "./colours.js";
import { divmod, reach } from "./axis.js";

const AXES = { 1: ["length"], 2: ["height", "width"], 3: ["depth", "height", "width"] };
const MOST_PHASES = 64;
const MOST_TAPS = 100_000; // beyond it the exact count is left out

export const axisNames = (geometry) => AXES[geometry.axes];

const signed = (n) => (n < 0 ? `(−${-n})` : String(n));

/** The size formula with its numbers: for each different axis {name, transposed, convolution}. */
export function sizes(geometry) {
  const lines = geometry.axis.map((axis) => {
    const { input, stride, lo, hi, kernel, dilation, outputPadding, output } = axis;
    const span = reach(kernel, dilation);
    const fits = divmod(output + lo + hi - span, stride)[0] + 1;
    return {
      transposed: `(${input} − 1)·${stride} − ${signed(lo)} − ${signed(hi)} + ${dilation}·(${kernel} − 1) + 1 + ${outputPadding} = ${output}`,
      convolution: `⌊(${output} + ${signed(lo)} + ${signed(hi)} − ${dilation}·(${kernel} − 1) − 1) / ${stride}⌋ + 1 = ${fits}`,
      back: fits,
      input,
    };
  });
  return named(geometry, lines);
}

/** Lines with the names of their axes; one for all, without a name, where they are alike. */
function named(geometry, lines) {
  const alike = lines.every((line) => JSON.stringify(line) === JSON.stringify(lines[0]));
  const names = axisNames(geometry);
  if (alike) return [{ name: "", ...lines[0] }];
  return lines.map((line, a) => ({ name: names[a], ...line }));
}

/** How inserting zeros gives the same, one sentence an axis. */
export function zeros(geometry) {
  const { between, around } = geometry.zeroInsertion();
  const side = (n, where) => (n < 0 ? `cut ${-n} off ${where}` : `${n} ${where}`);
  const lines = between.map((n, a) => ({ text: `${n} between neighbours, ${side(around[a][0], "before")}, ${side(around[a][1], "after")}` }));
  return named(geometry, lines);
}

/** For each different axis the phases: residue -> taps. Null where they are too many to list. */
export function phases(geometry) {
  if (geometry.axis.some((axis) => axis.stride > MOST_PHASES || axis.kernel > 256)) return null;
  return named(geometry, geometry.axis.map((axis) => ({ taps: axis.phases.map((phase) => phase.map(([tap]) => tap)) })));
}

/** The fewest and the most taps that reach outputs away from the borders; where there is one input, nothing overlaps. */
export function evenness(geometry) {
  const gcd = (a, b) => (b ? gcd(b, a % b) : a);
  let least = 1;
  let most = 1;
  for (const { input, kernel, stride, dilation } of geometry.axis) {
    if (input === 1) {
      if (dilation > 1 && kernel > 1) least = 0;
      continue;
    }
    const common = gcd(stride, dilation);
    const filled = stride / common; // residues that taps fall on, in turn
    least *= common > 1 ? 0 : Math.floor(kernel / filled);
    most *= Math.ceil(kernel / filled);
  }
  return { least, most };
}

export function coverageText(geometry) {
  const { least, most } = evenness(geometry);
  if (least === most && geometry.stride.every((s) => s === 1)) return { figure: "1", text: `Stride 1: every output away from the border gets ${most} products. No checkerboard.` };
  if (least === most) {
    return { figure: "1", text: `Even: away from the border every output gets ${most} ${most === 1 ? "product" : "products"}. No checkerboard from the geometry; trained weights can still make one.` };
  }
  if (least === 0) return { figure: "∞", text: `Some outputs get no product at all and hold the bias alone: holes. Others get up to ${most}.` };
  return {
    figure: Number((most / least).toPrecision(3)).toString(),
    text: `Away from the border some outputs get ${most} products and others ${least}: a checkerboard. A kernel that is a multiple of the stride would be even.`,
  };
}

/** Multiply-accumulates: [what, how many]. */
export function work(geometry) {
  const grouped = (n) => n.toLocaleString("en");
  const lines = [["every input with every tap", grouped(geometry.macs)]];
  if (geometry.kernel.every((k) => k <= MOST_TAPS)) lines.push(["of these inside the output", grouped(geometry.macsExact)]);
  lines.push(["by inserting zeros", grouped(geometry.macsOfZeroInsertion)]);
  return lines;
}

/** Shapes and, where there are several channels, who meets whom. */
export function channels(geometry) {
  const { batch, inChannels, outChannels, groups } = geometry;
  const shape = (...sizes) => `(${sizes.join(", ")})`;
  const lines = [
    ["input", shape(batch, inChannels, ...geometry.input)],
    ["weights", shape(inChannels, outChannels / groups, ...geometry.kernel)],
    ["output", shape(batch, outChannels, ...geometry.output)],
  ];
  return { lines, text: sharing(geometry) };
}

function sharing({ inChannels, outChannels, groups }) {
  if (inChannels === 1 && outChannels === 1) return "One channel in, one out: the picture above is all of it.";
  if (groups === 1) return `Each of the ${outChannels} output channels adds up ${inChannels} such pictures, one for every input channel.`;
  if (groups === inChannels && groups === outChannels) return "Depthwise: every channel by itself, with a kernel of its own.";
  return `${groups} groups: each output channel adds up the ${inChannels / groups} input channels of its group, of ${inChannels}.`;
}

/** The hue of the phase with these residues, one per axis, as the drawing has it. */
export function swatch(plane, residues) {
  const place = [...new Array(3 - residues.length).fill(0), ...residues];
  return hueOf(plane.phaseNumber(place), plane.strides.reduce((all, s) => all * s, 1));
}
