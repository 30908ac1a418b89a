// One size for the cells of all grids, as large as the room allows, and how the grids stand to each other.

const LARGEST = 38; // pixels
const READABLE = 19; // below this a cell shows no number
const COUNTED = 26; // below this rows and columns show none
const MOST_ROOMY = 17; // cells across of a grid that is drawn larger than the others
const SEEN = 16; // the least height of a single row
const UNITS = 10; // of a grid's drawing in a cell

/** name -> the room that a grid needs, in cells. */
function needs(grids) {
  return Object.fromEntries(Object.entries(grids).map(([name, { width, height }]) => [name, { across: width / UNITS, down: height / UNITS }]));
}

/** The arrangements that could be: each a size of cell and the words that CSS reads. */
function arrangements(width, { x, w, y }) {
  const beside = x.across + y.across;
  const stacked = Math.max(x.across, y.across);
  if (width < 760) {
    const inside = width - 34;
    return [
      { cell: Math.min((inside - 30) / beside, inside / w.across), pair: "row", kernel: "above" },
      { cell: Math.min(inside / stacked, inside / w.across), pair: "column", kernel: "above" },
    ];
  }
  const three = width - 6 * 22 - 2 * 16 - 8;
  const two = width - 4 * 22 - 16 - 8;
  const wide = Math.max(w.across * LARGEST, 170);
  const between = (pair, gaps) => Math.min((three - gaps - Math.min(wide, 170)) / (2 * pair), (three - gaps) / (2 * pair + w.across));
  return [
    { cell: between(beside, 76), pair: "row", kernel: "between" },
    { cell: between(stacked, 0), pair: "column", kernel: "between" },
    { cell: Math.min((two - 76) / (2 * beside), (width - 300) / w.across), pair: "row", kernel: "above" },
    { cell: Math.min(two / (2 * stacked), (width - 300) / w.across), pair: "column", kernel: "above" },
  ];
}

/** Set the size of the cells in `stage` for its width: the largest arrangement, the first among equals. */
export function arrange(stage, grids) {
  const room = needs(grids);
  const found = arrangements(stage.clientWidth, room).map((one) => ({ ...one, cell: Math.max(2, Math.min(LARGEST, one.cell)) }));
  const best = found.reduce((a, b) => (b.cell > a.cell * 1.15 ? b : a));
  stage.dataset.pair = best.pair;
  stage.dataset.kernel = best.kernel;
  for (const [name, grid] of Object.entries(grids)) {
    const cell = Math.max(best.cell, roomy(name, room[name].across, best, stage.clientWidth));
    grid.svg.classList.toggle("quiet", cell < READABLE);
    grid.svg.classList.toggle("uncounted", cell < COUNTED);
    // A single row of tiny cells is drawn taller, so that it can be seen and touched.
    const thin = grid.flat && cell < SEEN;
    grid.svg.setAttribute("preserveAspectRatio", thin ? "none" : "xMidYMid meet");
    grid.svg.style.setProperty("height", thin ? `${Math.round(room[name].down * SEEN)}px` : "auto");
    grid.svg.style.setProperty("width", `${Math.floor(room[name].across * cell)}px`);
  }
}

/** The size that makes a small grid among large ones readable, where there is room for it. */
function roomy(name, across, { pair, kernel }, width) {
  const free = { w: kernel === "above", x: pair === "column", u: pair === "column" };
  const cards = name === "w" || width < 760 ? 1 : 2;
  return free[name] && across < MOST_ROOMY ? Math.min(READABLE + 5, (width / cards - 60) / across) : 0;
}
