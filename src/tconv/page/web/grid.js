// A grid of cells as SVG. Its cells are made once a problem; after that only classes, texts and attributes change.

const SVG = "http://www.w3.org/2000/svg";
const U = 10; // units of the drawing in a cell's side
const MARGIN = 6; // units for the numbers of rows and columns
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

  /** New cells: `size` [rows, columns], `ghosts` [[top, bottom], [left, right]], `flat`: one row without a number. */
  build(size, ghosts, flat) {
    const [rows, columns] = size;
    const [[top, bottom], [left, right]] = ghosts;
    this.size = size;
    this.flat = flat;
    this.margin = Math.max(rows, columns) <= 24 ? MARGIN : 0;
    this.width = (columns + left + right) * U + this.margin;
    this.height = (rows + top + bottom) * U + this.margin;
    this.origin = [-left * U - this.margin, -top * U - this.margin];
    this.svg.replaceChildren();
    this.svg.setAttribute("viewBox", [...this.origin, this.width, this.height].join(" "));
    this.svg.setAttribute("aria-label", `${this.label}, ${flat ? "" : `${rows} by `}${columns} cells`);
    this.svg.setAttribute("aria-rowcount", rows);
    this.svg.setAttribute("aria-colcount", columns);
    this.drawGhosts(top, bottom, left, right);
    this.drawCells(rows, columns);
    if (this.margin) this.drawNumbers(rows, columns);
    this.active = 0;
    this.cells[0].setAttribute("tabindex", 0);
  }

  drawGhosts(top, bottom, left, right) {
    const [rows, columns] = this.size;
    const group = make("g", { class: "ghosts", "aria-hidden": "true" }, this.svg);
    this.ghosts = new Map();
    for (let r = -top; r < rows + bottom; r++) {
      for (let c = -left; c < columns + right; c++) {
        if (r >= 0 && r < rows && c >= 0 && c < columns) continue;
        const box = { x: c * U + 1, y: r * U + 1, width: U - 2, height: U - 2, rx: 1 };
        this.ghosts.set(`${r},${c}`, make("rect", { class: "ghost", ...box }, group));
      }
    }
  }

  drawCells(rows, columns) {
    this.cells = [];
    this.texts = [];
    this.shown = [];
    this.levels = [];
    this.hued = false;
    this.lit = [];
    const texts = rows * columns <= MOST_TEXTS;
    const lettering = make("g", { class: "lettering", "aria-hidden": "true" });
    for (let r = 0; r < rows; r++) {
      const row = make("g", { role: "row", "aria-rowindex": r + 1 }, this.svg);
      for (let c = 0; c < columns; c++) {
        const box = { x: c * U + 0.4, y: r * U + 0.4, width: U - 0.8, height: U - 0.8, rx: 1.2 };
        const cell = make("rect", { class: "cell", role: "gridcell", "aria-colindex": c + 1, tabindex: -1, ...box }, row);
        cell.dataset.index = this.cells.length;
        this.cells.push(cell);
        if (texts) this.texts.push(make("text", { x: (c + 0.5) * U, y: (r + 0.58) * U }, lettering));
      }
    }
    this.marks = make("g", { class: "marks", "aria-hidden": "true" });
    this.svg.append(lettering, this.marks);
  }

  drawNumbers(rows, columns) {
    const group = make("g", { class: "numbers", "aria-hidden": "true" }, this.svg);
    const [left, top] = this.origin;
    for (let c = 0; c < columns; c++) make("text", { x: (c + 0.5) * U, y: top + 2.6 }, group).textContent = c;
    if (this.flat) return;
    for (let r = 0; r < rows; r++) make("text", { x: left + 2.6, y: (r + 0.5) * U }, group).textContent = r;
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

  /** Light up `cells` and `ghosts`, ring `ringed`, and letter the cells of `marks` (index -> letter). */
  light(cells, ghosts, ringed, pinned, marks) {
    for (const element of this.lit) {
      element.classList.remove("lit", "ringed", "pinned");
      element.removeAttribute("aria-selected");
    }
    const lit = [...cells].map((n) => this.cells[n]);
    for (const place of ghosts) if (this.ghosts.has(place)) lit.push(this.ghosts.get(place));
    for (const element of lit) element.classList.add("lit");
    if (ringed >= 0) {
      this.cells[ringed].classList.add("ringed");
      this.cells[ringed].classList.toggle("pinned", pinned);
      if (pinned) this.cells[ringed].setAttribute("aria-selected", "true");
      lit.push(this.cells[ringed]);
    }
    this.lit = lit;
    this.marks.replaceChildren(...[...marks].map(([n, letter]) => this.mark(n, letter)));
  }

  mark(n, letter) {
    const [r, c] = [Math.floor(n / this.size[1]), n % this.size[1]];
    const text = make("text", { x: c * U + 1.1, y: r * U + 2.9 });
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
    const [r, c] = [Math.floor(n / this.size[1]), n % this.size[1]];
    const [left, top] = this.origin;
    return { left: (c * U - left) / this.width, top: (r * U - top) / this.height, width: U / this.width, height: U / this.height };
  }
}
