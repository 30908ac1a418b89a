// A grid of cells as SVG, slice beside slice. Its cells are made once a problem; after that only classes, texts and
// attributes change.

const SVG = "http://www.w3.org/2000/svg";
const U = 10; // units of the drawing in a cell's side
const MARGIN = 6; // units for the numbers of rows and columns
const BETWEEN = 4; // units between slices
const NAME = 7; // units above a slice for its name
/** The class of a number's lettering, by its length. */
const SIZES = ["", "", "", "", "middling", "small", "long", "long", "tiny"];
export const MOST_TEXTS = 1200; // cells beyond which none shows its number: they would be too small to read

function make(name, attributes, parent) {
  const element = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
  parent?.append(element);
  return element;
}

export class Grid {
  /** `label` names the grid to a screen reader; `editable`: its numbers can be changed. */
  constructor(svg, { name, label, editable }) {
    Object.assign(this, { svg, name, label, editable });
    this.cells = [];
    this.active = 0; // the one cell that Tab reaches
    svg.setAttribute("role", "grid");
    if (!editable) svg.setAttribute("aria-readonly", "true");
  }

  /** New cells: `size` and `ghosts` [before, after] of slices, rows and columns; `rank` is the number of axes. */
  build(size, ghosts, rank) {
    const [slices, rows, columns] = size;
    const [, [top, bottom], [left, right]] = ghosts;
    this.size = size;
    this.flat = rank === 1;
    this.named = rank === 3;
    this.across = Math.ceil(Math.sqrt(slices));
    this.margin = Math.max(rows, columns) <= 24 ? MARGIN : 0;
    const name = this.named ? NAME : 0;
    this.pitch = [(columns + left + right) * U + BETWEEN, (rows + top + bottom) * U + name + BETWEEN];
    this.width = this.margin + this.across * this.pitch[0] - BETWEEN;
    this.height = this.margin + Math.ceil(slices / this.across) * this.pitch[1] - BETWEEN;
    this.origin = [-left * U - this.margin, -top * U - this.margin - name];
    this.svg.replaceChildren();
    this.svg.setAttribute("viewBox", [...this.origin, this.width, this.height].join(" "));
    const shape = this.flat ? [columns] : this.named ? size : [rows, columns];
    this.svg.setAttribute("aria-label", `${this.label}, ${shape.join(" by ")} cells`);
    this.svg.setAttribute("aria-rowcount", slices * rows);
    this.svg.setAttribute("aria-colcount", columns);
    this.drawGhosts(top, bottom, left, right);
    this.drawCells();
    this.drawNumbers();
    this.active = 0;
    this.cells[0].setAttribute("tabindex", 0);
  }

  /** The upper left corner of a place (slice, row, column). */
  corner([z, r, c]) {
    return [(z % this.across) * this.pitch[0] + c * U, Math.floor(z / this.across) * this.pitch[1] + r * U];
  }

  /** The place of cell `n`. */
  at(n) {
    const [, rows, columns] = this.size;
    return [Math.floor(n / (rows * columns)), Math.floor(n / columns) % rows, n % columns];
  }

  drawGhosts(top, bottom, left, right) {
    const [slices, rows, columns] = this.size;
    const group = make("g", { class: "ghosts", "aria-hidden": "true" }, this.svg);
    this.ghosts = new Map();
    for (let z = 0; z < slices; z++) {
      for (let r = -top; r < rows + bottom; r++) {
        for (let c = -left; c < columns + right; c++) {
          if (r >= 0 && r < rows && c >= 0 && c < columns) continue;
          const [x, y] = this.corner([z, r, c]);
          const box = { x: x + 1, y: y + 1, width: U - 2, height: U - 2, rx: 1 };
          this.ghosts.set(`${z},${r},${c}`, make("rect", { class: "ghost", ...box }, group));
        }
      }
    }
  }

  drawCells() {
    const [slices, rows, columns] = this.size;
    this.cells = [];
    this.texts = [];
    this.shown = [];
    this.levels = [];
    this.hued = false;
    this.lit = [];
    const texts = slices * rows * columns <= MOST_TEXTS;
    const lettering = make("g", { class: "lettering", "aria-hidden": "true" });
    for (let line = 0; line < slices * rows; line++) {
      const row = make("g", { role: "row", "aria-rowindex": line + 1 }, this.svg);
      for (let c = 0; c < columns; c++) {
        const [x, y] = this.corner(this.at(line * columns + c));
        const box = { x: x + 0.4, y: y + 0.4, width: U - 0.8, height: U - 0.8, rx: 1.2 };
        const cell = make("rect", { class: "cell", role: "gridcell", "aria-colindex": c + 1, tabindex: -1, ...box }, row);
        cell.dataset.index = this.cells.length;
        this.cells.push(cell);
        if (texts) this.texts.push(make("text", { x: x + 0.5 * U, y: y + 0.58 * U }, lettering));
      }
    }
    this.marks = make("g", { class: "marks", "aria-hidden": "true" });
    this.svg.append(lettering, this.marks);
  }

  /** The names of slices, and the numbers of rows and columns at the first ones. */
  drawNumbers() {
    const [slices, rows, columns] = this.size;
    const group = make("g", { class: "numbers", "aria-hidden": "true" }, this.svg);
    const names = make("g", { class: "names", "aria-hidden": "true" }, this.svg);
    const [left, top] = this.origin;
    const write = (x, y, text, into) => (make("text", { x, y }, into).textContent = text);
    for (let z = 0; z < slices; z++) {
      const [x, y] = this.corner([z, 0, 0]);
      const above = this.margin && z < this.across;
      if (this.named) write(x + (columns * U) / 2, y + top + (above ? 3 : this.margin + 3), `slice ${z}`, names);
      for (let c = 0; c < columns && above; c++) write(x + (c + 0.5) * U, top + (this.named ? NAME : 0) + 2.6, c, group);
      const beside = this.margin && z % this.across === 0 && !this.flat;
      for (let r = 0; r < rows && beside; r++) write(left + 2.6, y + (r + 0.5) * U, r, group);
    }
  }

  /** Show `texts` (null: not yet known) and `levels` (-1 to 1, the strength of a cell's colour); `name(n)` names a cell. */
  fill(texts, levels, name) {
    const large = this.cells.length > MOST_TEXTS;
    for (let n = 0; n < texts.length; n++) {
      const cell = this.cells[n];
      const text = texts[n];
      // Touching only what changed is what keeps thousands of cells quick.
      if (text !== this.shown[n]) {
        this.shown[n] = text;
        cell.classList.toggle("waiting", text === null);
        cell.setAttribute("aria-label", `${name(n)} ${text ?? "not yet"}`);
        if (!large) this.write(this.texts[n], text ?? "");
      }
      const level = Math.round(levels[n] * 50) / 50;
      if (level !== this.levels[n]) {
        this.levels[n] = level;
        cell.setAttribute("fill-opacity", (0.06 + 0.6 * Math.abs(level)).toFixed(3));
        cell.classList.toggle("negative", level < 0);
      }
    }
  }

  write(element, text) {
    element.textContent = text;
    element.setAttribute("class", SIZES[Math.min(text.length, SIZES.length - 1)]);
  }

  /** Colour each cell by a hue in degrees; null where it has none. */
  tint(hues) {
    if (hues === null && !this.hued) return;
    this.hued = hues !== null;
    this.cells.forEach((cell, n) => {
      cell.classList.toggle("tinted", hues !== null && hues[n] !== null);
      cell.classList.toggle("bare", hues !== null && hues[n] === null);
      if (hues !== null && hues[n] !== null) cell.style.setProperty("--hue", hues[n]);
    });
  }

  /** Light up `cells` and `ghosts`, ring `ringed`, letter the cells of `marks` (index -> letter), tint those of `under`. */
  light({ cells, ghosts, ringed, marks, under }, pinned) {
    for (const element of this.lit) {
      element.classList.remove("lit", "ringed", "pinned", "under");
      element.removeAttribute("aria-selected");
    }
    const tinted = under.map((n) => this.cells[n]);
    for (const element of tinted) element.classList.add("under");
    const lit = [...cells].map((n) => this.cells[n]);
    for (const place of ghosts) if (this.ghosts.has(place)) lit.push(this.ghosts.get(place));
    for (const element of lit) element.classList.add("lit");
    if (ringed >= 0) {
      this.cells[ringed].classList.add("ringed");
      this.cells[ringed].classList.toggle("pinned", pinned);
      if (pinned) this.cells[ringed].setAttribute("aria-selected", "true");
      lit.push(this.cells[ringed]);
    }
    this.lit = [...lit, ...tinted];
    this.marks.replaceChildren(...[...marks].map(([n, letter]) => this.mark(n, letter)));
  }

  mark(n, letter) {
    const [x, y] = this.corner(this.at(n));
    const text = make("text", { x: x + 1.1, y: y + 2.9 });
    text.textContent = letter;
    return text;
  }

  /** Let Tab reach cell `n`, and go there if `focus`. */
  reach(n, focus) {
    this.cells[this.active].setAttribute("tabindex", -1);
    this.active = n;
    this.cells[n].setAttribute("tabindex", 0);
    if (focus) this.cells[n].focus();
  }

  /** Where cell `n` lies in the drawing: left, top and size as fractions of its width and height. */
  place(n) {
    const [x, y] = this.corner(this.at(n));
    const [left, top] = this.origin;
    return { left: (x - left) / this.width, top: (y - top) / this.height, width: U / this.width, height: U / this.height };
  }
}
