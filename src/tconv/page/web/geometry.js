// Geometry: every whole number of one transposed convolution, checked once, never changed.

import { Axis, reach } from "./axis.js";
import { ProblemError, read, write } from "./spelling.js";

const LIMIT = 2 ** 31 - 1;

function whole(name, number) {
  if (Math.abs(number) > LIMIT) {
    throw new ProblemError(`${name}=${number} is out of range; it must lie within -${LIMIT} and ${LIMIT}`);
  }
  return number;
}

export class Geometry {
  /** From options that `read` gives; what does not fit throws a ProblemError. */
  constructor(options) {
    const axes = options.input.length;
    const perAxis = (name, preset) => (options[name] ?? new Array(axes).fill(preset)).map((n) => whole(name, n));
    this.kernel = perAxis("kernel", 1);
    this.stride = perAxis("stride", 1);
    this.dilation = perAxis("dilation", 1);
    this.outputPadding = perAxis("output_padding", 0);
    this.batch = whole("batch", options.batch ?? 1);
    this.inChannels = whole("in_channels", options.channels[0]);
    this.outChannels = whole("out_channels", options.channels[1]);
    this.input = perAxis("input", 1);
    this.padding = (options.padding ?? new Array(axes).fill(0)).map((entry) =>
      (Array.isArray(entry) ? entry : [entry, entry]).map((n) => whole("padding", n)),
    );
    this.groups = whole("groups", options.groups ?? 1);
    check(this);
    this.axis = this.input.map((_, a) => axisOf(this, a));
    this.output = this.axis.map((axis) => axis.output);
    Object.freeze(this);
  }

  /** Read the spelling that `toString` writes. */
  static parse(text) {
    return new Geometry(read(text));
  }

  toString() {
    return write(this);
  }

  get axes() {
    return this.input.length;
  }

  /** Nominal multiply-accumulates: n * c_in * prod(input) * c_out/g * prod(kernel). */
  get macs() {
    return product([...this.input, ...this.kernel]) * this.pairs;
  }

  /** Multiply-accumulates that land inside the output. */
  get macsExact() {
    return product(this.axis.map((axis) => axis.products())) * this.pairs;
  }

  /** Multiply-accumulates of the same output by inserting zeros and convolving with stride 1. */
  get macsOfZeroInsertion() {
    return product([...this.output, ...this.kernel]) * this.pairs;
  }

  /** Channel pairs that meet, over the batch. */
  get pairs() {
    return product([this.batch, this.inChannels, this.outChannels / this.groups]);
  }

  /** The recipe that reaches the same output by inserting zeros and convolving with stride 1. */
  zeroInsertion() {
    return {
      between: this.stride.map((s) => s - 1),
      around: this.axis.map((axis) => axis.zerosAround()),
      dilation: this.dilation,
    };
  }
}

/** The product of whole numbers, as a BigInt: it outgrows 2**53 soon. */
const product = (numbers) => numbers.reduce((all, n) => all * BigInt(n), 1n);

function axisOf(g, a) {
  const [lo, hi] = g.padding[a];
  return new Axis({
    input: g.input[a],
    kernel: g.kernel[a],
    stride: g.stride[a],
    lo,
    hi,
    outputPadding: g.outputPadding[a],
    dilation: g.dilation[a],
  });
}

function check(g) {
  if (g.axes > 3) throw new ProblemError(`${g}: the input has ${g.axes} spatial axes; 1, 2 or 3 would fit`);
  const least = [
    ["kernel", g.kernel, 1],
    ["stride", g.stride, 1],
    ["dilation", g.dilation, 1],
    ["input size", g.input, 1],
  ];
  for (const [name, values, minimum] of least) {
    values.forEach((value, a) => {
      if (value < minimum) throw new ProblemError(`${g}: ${name} ${value} on axis ${a}; it must be at least ${minimum}`);
    });
  }
  if (g.groups < 1) throw new ProblemError(`${g}: ${g.groups} groups; at least 1 would fit`);
  const channels = [
    ["input", g.inChannels],
    ["output", g.outChannels],
  ];
  for (const [name, count] of channels) {
    if (count < 1) throw new ProblemError(`${g}: ${count} ${name} channels; at least 1 would fit`);
    if (count % g.groups) {
      throw new ProblemError(
        `${g}: ${count} ${name} channels do not divide into ${g.groups} groups; ` +
          `groups must divide both ${g.inChannels} and ${g.outChannels}`,
      );
    }
  }
  for (let a = 0; a < g.axes; a++) checkOutput(g, a);
}

function checkOutput(g, a) {
  const axis = axisOf(g, a);
  if (axis.outputPadding >= axis.paddingChoices) {
    throw new ProblemError(
      `${g}: output_padding ${axis.outputPadding} on axis ${a} is too large; ` +
        `it must be below max(stride, dilation) = ${axis.paddingChoices}`,
    );
  }
  // Python counts on; here numbers are exact up to 2**53 alone.
  if ((axis.input - 1) * axis.stride + reach(axis.kernel, axis.dilation) > 2 ** 52) {
    throw new ProblemError(`${g}: the output on axis ${a} is too long for this page; at most ${2 ** 52} would fit`);
  }
  if (axis.output < 1) {
    throw new ProblemError(
      `${g}: the output size on axis ${a} is ${axis.output}; it must be at least 1: ` +
        `padding lo + hi of at most ${axis.output + axis.lo + axis.hi - 1} would fit`,
    );
  }
}
