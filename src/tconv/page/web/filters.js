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
function random(rows, columns, { seed }) {
  const next = uniform(seed);
  return fill(rows, columns, () => [-3, -2, -1, 1, 2, 3][Math.floor(next() * 6)]);
}

function fill(rows, columns, at) {
  return Float64Array.from({ length: rows * columns }, (_, n) => at(Math.floor(n / columns), n % columns));
}

function separable(line) {
  return (rows, columns, { strides }) => {
    const [down, across] = [line(rows, strides[0]), line(columns, strides[1])];
    return fill(rows, columns, (r, c) => down[r] * across[c]);
  };
}

/** name -> function(rows, columns, {seed, strides}) -> numbers, row by row. */
export const PRESETS = {
  counting: (rows, columns) => fill(rows, columns, (r, c) => r * columns + c + 1),
  ones: (rows, columns) => fill(rows, columns, () => 1),
  "single one": (rows, columns) =>
    fill(rows, columns, (r, c) => Number(r === rows >> 1 && c === columns >> 1)),
  bilinear: separable(bilinear),
  nearest: separable(nearest),
  random,
};
