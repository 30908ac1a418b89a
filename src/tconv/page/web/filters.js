// Numbers to fill a grid with: the fixed interpolations, counting, ones, one, random.

/** The triangle of linear interpolation at factor `s`, at `k` taps about its middle. */
const bilinear = (k, s) => Array.from({ length: k }, (_, t) => Math.max(0, 1 - Math.abs(t - (k - 1) / 2) / s));

/** The box that repeats a value `s` times, in the middle of `k` taps. */
const nearest = (k, s) => Array.from({ length: k }, (_, t) => (Math.abs(t - (k - 1) / 2) <= (s - 1) / 2 ? 1 : 0));

export const INTERPOLATIONS = { bilinear, nearest };

/** The kernel and padding with which an interpolation makes the output exactly input * s. */
export function fitting(name, s) {
  const kernel = name === "bilinear" ? 2 * s - (s % 2) : s;
  return { kernel, padding: Math.floor((kernel - s) / 2) };
}

/** Numbers in [0, 1) from a seed, the same on every machine (mulberry32). */
export function uniform(seed) {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

/** Whole numbers from -3 to 3 without 0, so that a missing term shows. */
function random(size, { seed }) {
  const next = uniform(seed);
  return fill(size, () => [-3, -2, -1, 1, 2, 3][Math.floor(next() * 6)]);
}

const fill = (size, at) => Float64Array.from({ length: size.reduce((all, n) => all * n, 1) }, (_, n) => at(n));

/** The products of one line of numbers per axis. */
function outer(lines) {
  return Float64Array.from(lines.reduce((all, line) => all.flatMap((a) => line.map((b) => a * b)), [1]));
}

const separable = (line) => (size, { strides }) => outer(size.map((n, a) => line(n, strides[a])));
const middle = (n) => Array.from({ length: n }, (_, t) => Number(t === n >> 1));

/** name -> function(size, {seed, strides}), with a number per axis -> numbers, row by row. */
export const PRESETS = {
  counting: (size) => fill(size, (n) => n + 1),
  ones: (size) => fill(size, () => 1),
  "single one": (size) => outer(size.map(middle)),
  bilinear: separable(bilinear),
  nearest: separable(nearest),
  random,
};
