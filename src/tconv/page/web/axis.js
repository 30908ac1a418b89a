// One axis of a transposed convolution, as whole numbers.
//
// Indices: `i` an input, `t` a kernel tap, `u = i * stride + t * dilation` the full (uncropped) output that
// this pair reaches, and `o = u - lo` the output after cropping. Several axes are the product of single ones.

/** The quotient that is rounded down, also for negative `a`, and what is left. */
export function divmod(a, b) {
  const quotient = Math.floor(a / b);
  return [quotient, a - quotient * b];
}

/** How many outputs the dilated kernel spans: d(k-1) + 1. */
export const reach = (kernel, dilation) => dilation * (kernel - 1) + 1;

export class Axis {
  constructor({ input, kernel, stride, lo, hi, outputPadding, dilation }) {
    Object.assign(this, { input, kernel, stride, lo, hi, outputPadding, dilation });
  }

  /** The size before anything is cropped: (i-1)s + d(k-1) + 1. */
  get full() {
    return (this.input - 1) * this.stride + reach(this.kernel, this.dilation);
  }

  /** (i-1)s - lo - hi + d(k-1) + 1 + o. */
  get output() {
    return this.full - this.lo - this.hi + this.outputPadding;
  }

  /** How many output paddings are allowed, 0 to this minus one. */
  get paddingChoices() {
    return Math.max(this.stride, this.dilation);
  }

  /** For each residue 0 .. stride-1 of the full output, its (tap, distance) pairs. */
  get phases() {
    return Array.from({ length: this.stride }, (_, residue) => this.phase(residue));
  }

  /** The (tap, distance) pairs of one residue. */
  phase(residue) {
    if (!this.known) {
      this.known = new Map();
      for (let tap = 0; tap < this.kernel; tap++) {
        const [distance, own] = divmod(tap * this.dilation, this.stride);
        if (!this.known.has(own)) this.known.set(own, []);
        this.known.get(own).push([tap, distance]);
      }
    }
    return this.known.get(residue) ?? [];
  }

  /** The phase that output `o` belongs to. */
  phaseOfOutput(o) {
    return divmod(o + this.lo, this.stride)[1];
  }

  /** The phase that `tap` belongs to. */
  phaseOfTap(tap) {
    return divmod(tap * this.dilation, this.stride)[1];
  }

  /** The (input, tap) pairs that add up to output `o`, by rising tap. */
  tapsOfOutput(o) {
    const [q, residue] = divmod(o + this.lo, this.stride);
    return this.phase(residue)
      .map(([tap, distance]) => [q - distance, tap])
      .filter(([i]) => i >= 0 && i < this.input);
  }

  /** The (output, tap) pairs over which input `i` is spread, the cropped ones too: they lie outside. */
  spreadOfInput(i) {
    return Array.from({ length: this.kernel }, (_, tap) => [i * this.stride + tap * this.dilation - this.lo, tap]);
  }

  /** The (output, tap) pairs over which input `i` is spread, less the cropped ones. */
  outputsOfInput(i) {
    return this.spreadOfInput(i).filter(([o]) => o >= 0 && o < this.output);
  }

  /** The first input whose product with `tap` lands inside the output, and one after the last. */
  inputsOfTap(tap) {
    const start = this.lo - tap * this.dilation;
    const first = Math.max(0, Math.ceil(start / this.stride));
    const last = Math.min(this.input - 1, Math.floor((start + this.output - 1) / this.stride));
    return [first, Math.max(first, last + 1)];
  }

  /** The (input, output) pairs that `tap` joins, inside the output. */
  usesOfTap(tap) {
    const [first, end] = this.inputsOfTap(tap);
    return Array.from({ length: end - first }, (_, n) => [first + n, (first + n) * this.stride + tap * this.dilation - this.lo]);
  }

  /** How many taps reach each output. */
  coverage() {
    const counts = new Array(this.output).fill(0);
    for (let tap = 0; tap < this.kernel; tap++) for (const [, o] of this.usesOfTap(tap)) counts[o] += 1;
    return counts;
  }

  /** How many (input, tap) pairs land inside the output. */
  products() {
    let sum = 0;
    for (let tap = 0; tap < this.kernel; tap++) {
      const [first, end] = this.inputsOfTap(tap);
      sum += end - first;
    }
    return sum;
  }

  /** Zeros before and after the inputs that make it a stride-1 convolution; negative ones crop. */
  zerosAround() {
    const margin = reach(this.kernel, this.dilation) - 1;
    return [margin - this.lo, margin - this.hi + this.outputPadding];
  }

  /** The number of cells of the input with zeros between and around, over which the turned kernel slides. */
  get padded() {
    return this.output + reach(this.kernel, this.dilation) - 1;
  }

  /** The cell of the input with zeros where input `i` stands; outside of it where the input is cropped. */
  placeOfInput(i) {
    return this.zerosAround()[0] + i * this.stride;
  }

  /** The input that stands in a cell of the input with zeros; -1 where a zero is. */
  inputAt(cell) {
    const [i, rest] = divmod(cell - this.zerosAround()[0], this.stride);
    return rest === 0 && i >= 0 && i < this.input ? i : -1;
  }

  /** The (cell, tap) pairs under the turned kernel for output `o`, by rising cell. */
  windowOf(o) {
    return Array.from({ length: this.kernel }, (_, n) => [o + n * this.dilation, this.kernel - 1 - n]);
  }
}
