// One size for the cells of all grids, as large as the room allows, and how the grids stand to each other.

const LARGEST = 38; // pixels
const READABLE = 19; // below this a cell shows no number
const COUNTED = 21; // below this rows and columns show none
const MOST_ROOMY = 17; // cells across of a grid that is drawn larger than the others
const SEEN = 16; // the least height of a single row
const UNITS = 10; // of a grid's drawing in a cell
const CAPTIONS = 120; // pixels of arrows, and of captions that are wider than their grids

/** name -> the room that a grid needs, in cells. */
function needs(grids) {
  return Object.fromEntries(Object.entries(grids).map(([name, { width, height }]) => [name, { across: width / UNITS, down: height / UNITS }]));
}

/** The arrangements that could be: each a size of cell and the words that CSS reads. */
function arrangements({ width, height, narrow }, cards, w) {
  const most = (of) => Math.max(...cards.map(of));
  const beside = { across: most(([small, large]) => small.across + large.across), down: most(([small, large]) => Math.max(small.down, large.down)) };
  const stacked = { across: most(([small, large]) => Math.max(small.across, large.across)), down: most(([small, large]) => small.down + large.down) };
  // What would make numbers unreadable is scrolled instead.
  const fits = (room, cells) => Math.max(READABLE, room / cells);
  if (narrow) {
    // The kernel stands below the input, beside the output.
    const [[x, y], [small, large]] = cards;
    const inside = width - 26;
    const across = Math.max(Math.max(x.across, w.across) + y.across, small.across + large.across);
    const down = Math.max(x.down + w.down + 1, y.down) + Math.max(small.down, large.down);
    const row = { cell: Math.min((inside - 12) / across, fits(height - 170, down)), pair: "row", kernel: "above" };
    if (row.cell >= READABLE) return [row];
    return [row, { cell: Math.min(inside / stacked.across, inside / w.across), pair: "column", kernel: "above" }];
  }
  const three = width - 6 * 22 - 2 * 16 - 8;
  const two = width - 4 * 22 - 16 - 8;
  const wide = Math.max(w.across * LARGEST, 150);
  const between = (pair, gaps) => Math.min((three - gaps - Math.min(wide, 150)) / (2 * pair), (three - gaps) / (2 * pair + w.across));
  const tall = height - 290; // without headings, and with room for what is told
  return [
    { cell: Math.min(between(beside.across, CAPTIONS), fits(tall, beside.down)), pair: "row", kernel: "between" },
    { cell: Math.min(between(stacked.across, 0), fits(tall - 40, stacked.down)), pair: "column", kernel: "between" },
    { cell: Math.min((two - CAPTIONS) / (2 * beside.across), (width - 300) / w.across, fits(tall - 60, beside.down + w.down)), pair: "row", kernel: "above" },
    { cell: Math.min(two / (2 * stacked.across), (width - 300) / w.across, fits(tall - 100, stacked.down + w.down)), pair: "column", kernel: "above" },
  ];
}

/** Whether the grids stand in one card, as page.css has it. */
const narrow = () => matchMedia("(max-width: 819px)").matches;

/** The room below the stage's top on the first screen. */
function roomOf(stage) {
  const top = stage.getBoundingClientRect().top + scrollY;
  return { narrow: narrow(), width: stage.clientWidth, height: top < innerHeight / 2 ? innerHeight - top : Infinity };
}

/** Set the size of the cells in `stage` for its room: the largest arrangement, the first among equals. */
export function arrange(stage, grids) {
  const room = needs(grids);
  const other = stage.dataset.beside === "zeros" && room.z ? [room.r, room.z] : [room.x, room.y];
  const found = arrangements(roomOf(stage), [[room.x, room.y], other], room.w).map((one) => ({ ...one, cell: Math.max(2, Math.min(LARGEST, one.cell)) }));
  const better = (a, b) => b.cell > a.cell * 1.15 || (a.cell < READABLE && b.cell >= READABLE);
  const best = found.reduce((a, b) => (better(a, b) ? b : a));
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
  const free = { w: kernel === "above", x: pair === "column", u: pair === "column", r: pair === "column" };
  const cards = name === "w" || narrow() ? 1 : 2;
  return free[name] && across < MOST_ROOMY ? Math.min(READABLE + 5, (width / cards - 60) / across) : 0;
}
