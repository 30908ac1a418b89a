// Pointer and keyboard on a grid: one listener of each kind a grid, whatever its number of cells.

/** key -> where it leads from (slice, row, column) in a grid of these sizes; past an edge to the slice that lies there */
const MOVES = {
  ArrowUp: (z, r, c, [, rows], across) => (r > 0 ? [z, r - 1, c] : [z - across, rows - 1, c]),
  ArrowDown: (z, r, c, [, rows], across) => (r < rows - 1 ? [z, r + 1, c] : [z + across, 0, c]),
  ArrowLeft: (z, r, c, [, , columns], across) => (c > 0 ? [z, r, c - 1] : [z % across ? z - 1 : -1, r, columns - 1]),
  ArrowRight: (z, r, c, [, , columns], across) => (c < columns - 1 ? [z, r, c + 1] : [(z + 1) % across ? z + 1 : -1, r, 0]),
  Home: (z, r) => [z, r, 0],
  End: (z, r, _, [, , columns]) => [z, r, columns - 1],
  PageUp: (z, _, c) => [z, 0, c],
  PageDown: (z, _, c, [, rows]) => [z, rows - 1, c],
};

const indexOf = (event) => {
  const index = event.target.dataset?.index;
  return index === undefined ? null : Number(index);
};

/** Make `grid` point, pin and edit: `point(how, cell)`, `pin(cell)`, `edit(cell, first)`, `free()`. */
export function listen(grid, { point, pin, edit, free }) {
  // Not on the drawing itself: one that listens for focus becomes a stop of Tab in some browsers.
  const board = grid.svg.parentElement;
  const cell = (index) => (index === null ? null : { grid: grid.name, index });

  board.addEventListener("pointerover", (event) => {
    const index = indexOf(event);
    // Between two cells the last one stays, so that nothing flickers.
    if (event.pointerType !== "touch" && index !== null) point("hovered", cell(index));
  });
  board.addEventListener("pointerleave", () => point("hovered", null));
  board.addEventListener("focusin", (event) => {
    const index = indexOf(event);
    if (index === null) return;
    grid.reach(index, false);
    point("focused", cell(index));
  });
  board.addEventListener("focusout", () => point("focused", null));
  board.addEventListener("click", (event) => {
    const index = indexOf(event);
    if (index !== null) pin(cell(index));
  });
  board.addEventListener("dblclick", (event) => {
    const index = indexOf(event);
    if (index !== null && grid.editable) edit(cell(index), null);
  });
  board.addEventListener("keydown", (event) => {
    const index = indexOf(event);
    if (index === null || event.altKey || event.ctrlKey || event.metaKey) return;
    if (press(grid, index, event.key, { pin, edit, free, cell })) event.preventDefault();
  });
}

/** Do what `key` asks for; whether it asked for anything. */
function press(grid, index, key, { pin, edit, free, cell }) {
  const [slices, rows, columns] = grid.size;
  if (MOVES[key]) {
    const [z, r, c] = MOVES[key](...grid.at(index), grid.size, grid.across);
    if (z >= 0 && z < slices) grid.reach((z * rows + r) * columns + c, true);
    return true;
  }
  if (key === "Enter" || key === " ") {
    pin(cell(index));
    return true;
  }
  if (key === "Escape") {
    free();
    return true;
  }
  if (grid.editable && (key === "F2" || /^[-.0-9]$/.test(key))) {
    edit(cell(index), key === "F2" ? null : key);
    return true;
  }
  return false;
}
