// Pointer and keyboard on a grid: one listener of each kind a grid, whatever its number of cells.

/** key -> where it leads from (row, column) */
const MOVES = {
  ArrowUp: (r, c) => [r - 1, c],
  ArrowDown: (r, c) => [r + 1, c],
  ArrowLeft: (r, c) => [r, c - 1],
  ArrowRight: (r, c) => [r, c + 1],
  Home: (r) => [r, 0],
  End: (r, _, [, columns]) => [r, columns - 1],
  PageUp: (_, c) => [0, c],
  PageDown: (_, c, [rows]) => [rows - 1, c],
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
  const [rows, columns] = grid.size;
  if (MOVES[key]) {
    const [r, c] = MOVES[key](Math.floor(index / columns), index % columns, grid.size);
    if (r >= 0 && r < rows && c >= 0 && c < columns) grid.reach(r * columns + c, true);
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
