// One text field that appears over the cell whose number is changed.

/** `commit(cell, value)` takes a number; `say(message)` tells why a text is none. */
export class Editor {
  constructor(field, { commit, say, back }) {
    Object.assign(this, { field, commit, say, back, cell: null });
    field.addEventListener("keydown", (event) => {
      if (event.key === "Enter") this.close(true, true);
      else if (event.key === "Escape") this.close(false, true);
      else return;
      event.preventDefault();
      event.stopPropagation();
    });
    field.addEventListener("blur", () => this.close(true, false));
  }

  /** Open over `cell` of `grid`, with `text` in it. */
  open(grid, cell, label, text, selected) {
    const { left, top, width, height } = grid.place(cell.index);
    this.cell = cell;
    this.grid = grid;
    grid.svg.parentElement.append(this.field);
    this.field.hidden = false;
    this.field.value = text;
    this.field.setAttribute("aria-label", label);
    const style = this.field.style;
    style.setProperty("--left", `${(left + width / 2) * 100}%`);
    style.setProperty("--top", `${(top + height / 2) * 100}%`);
    this.field.focus();
    if (selected) this.field.select();
  }

  close(keep, goBack) {
    if (!this.cell) return;
    const { cell, grid } = this;
    const text = this.field.value.trim();
    const value = Number(text);
    this.cell = null;
    this.field.hidden = true;
    if (goBack) this.back(grid, cell.index); // first, since it says the old number aloud
    if (keep && text !== "" && Number.isFinite(value) && Math.abs(value) <= 1e9) this.commit(cell, value);
    else if (keep && text !== "") this.say(`${text} is no number between -1000000000 and 1000000000; the cell keeps what it had`);
  }
}
