// The two maps on a plane, and what stepping through them has reached.

/** Sums of a map: `values`, and which cells anything was added to. */
function sums(size) {
  return { values: new Float64Array(size), reached: new Uint8Array(size) };
}

/** y from the first `count` cells of x: each spreads its multiple of the kernel. */
export function stamped(plane, x, w, count) {
  const y = sums(plane.count("fine"));
  for (let index = 0; index < count; index++) {
    for (const { tap, fine } of plane.pairs("coarse", index)) {
      if (fine < 0) continue;
      y.values[fine] += x[index] * w[tap];
      y.reached[fine] = 1;
    }
  }
  return y;
}

/** The first `count` cells of y, each gathered by itself. */
export function gathered(plane, x, w, count) {
  const y = sums(plane.count("fine"));
  y.reached.fill(1, 0, count);
  for (let index = 0; index < count; index++) {
    for (const { coarse, tap } of plane.pairs("fine", index)) y.values[index] += x[coarse] * w[tap];
  }
  return y;
}

/** The first `count` cells of u: the kernel slides over v, whose cells outside are zeros. */
export function windowed(plane, v, w, count) {
  const u = sums(plane.count("coarse"));
  u.reached.fill(1, 0, count);
  for (let index = 0; index < count; index++) {
    for (const { tap, fine } of plane.pairs("coarse", index)) if (fine >= 0) u.values[index] += v[fine] * w[tap];
  }
  return u;
}

/** u from the first `count` cells of v: each adds its multiples to all windows that see it. */
export function seen(plane, v, w, count) {
  const u = sums(plane.count("coarse"));
  for (let index = 0; index < count; index++) {
    for (const { coarse, tap } of plane.pairs("fine", index)) {
      u.values[coarse] += v[index] * w[tap];
      u.reached[coarse] = 1;
    }
  }
  return u;
}

/** order of steps -> the two maps after `step` steps. */
export const ORDERS = { coarse: [stamped, windowed], fine: [gathered, seen] };

export const dot = (a, b) => a.reduce((sum, value, n) => sum + value * b[n], 0);
