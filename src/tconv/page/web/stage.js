// The grids and the arithmetic below them.

import { explain, format, lines, spoken } from "./arithmetic.js";
import { look } from "./colours.js";
import { Editor } from "./editor.js";
import { INTERPOLATIONS, PRESETS, fitting } from "./filters.js";
import { Grid } from "./grid.js";
import { listen } from "./keys.js";
import { arrange } from "./layout.js";
import { lights } from "./lights.js";
import { short } from "./spelling.js";
import { EDITABLE, LATTICE } from "./state.js";

const LABELS = {
  x: "x, input of the transposed convolution",
  w: "w, the kernel",
  y: "y, output of the transposed convolution",
  v: "v, input of the convolution",
  u: "u, output of the convolution",
  r: "r, the kernel turned by 180 degrees",
  z: "z, the input with zeros inserted",
};
const $ = (id) => document.getElementById(id);

export class Stage {
  constructor(state, say) {
    Object.assign(this, { state, say });
    this.root = $("stage");
    this.grids = {};
    for (const [name, label] of Object.entries(LABELS)) {
      this.grids[name] = new Grid($(`grid-${name}`), { name, label, editable: EDITABLE.includes(name) });
    }
    this.editor = new Editor($("editor"), {
      commit: (cell, value) => {
        state.edit(cell.grid, cell.index, value);
        say(`${this.nameOf(cell)} is now ${value}.`);
      },
      say,
      back: (grid, index) => grid.reach(index, true),
    });
    for (const grid of Object.values(this.grids)) listen(grid, this.actions());
    for (const name of EDITABLE) this.presets(name);
    $("change").addEventListener("click", () => this.edit(state.cell, null));
    $("release").addEventListener("click", () => state.point("pinned", null));
    $("fit").addEventListener("click", () => this.fit());
    $("beside").addEventListener("change", (event) => this.show(event.target.value));
    state.addEventListener("problem", () => this.build());
    state.addEventListener("numbers", () => this.fill());
    state.addEventListener("look", () => this.fill());
    state.addEventListener("cell", ({ detail }) => this.light(detail?.how));
    new ResizeObserver(() => this.arrange()).observe(this.root);
    addEventListener("resize", () => this.arrange());
    this.show("down");
  }

  /** What stands beside the layer: its adjoint, `down`, or the inserted `zeros`. */
  show(beside) {
    this.root.dataset.beside = beside;
    if (this.state.plane) this.build();
  }

  /** The grids that there are: z and r only where they are shown and small enough. */
  get drawn() {
    const zeros = this.root.dataset.beside === "zeros" && this.state.plane.drawsZeros;
    return Object.entries(this.grids).filter(([name]) => zeros || !"zr".includes(name));
  }

  actions() {
    const { state } = this;
    return {
      point: (how, cell) => state.point(how, cell),
      pin: (cell) => state.pin(cell),
      free: () => state.point("pinned", null),
      edit: (cell, first) => this.edit(cell, first),
    };
  }

  presets(name) {
    const select = $(`preset-${name}`);
    const fitting = Object.keys(PRESETS).filter((preset) => name === "w" || !(preset in INTERPOLATIONS));
    select.append(...fitting.map((preset) => new Option(preset, preset)));
    select.append(new Option("edited", "edited", false, false));
    select.lastElementChild.disabled = true;
    select.addEventListener("change", () => this.state.choose(name, select.value));
    $(`again-${name}`).addEventListener("click", () => this.state.choose(name, "random"));
  }

  edit(cell, first) {
    if (!cell || !EDITABLE.includes(cell.grid)) return;
    const name = this.nameOf(cell);
    const old = String(this.state.number(cell.grid, cell.index));
    this.editor.open(this.grids[cell.grid], cell, `number of ${name}`, first ?? old, first === null);
  }

  nameOf({ grid, index }) {
    return `${grid}[${this.state.plane.label(LATTICE[grid], index)}]`;
  }

  build() {
    const { plane } = this.state;
    this.root.hidden = !plane;
    if (!plane) return;
    const none = plane.ghosts.map(() => [0, 0]);
    for (const [name, grid] of this.drawn) grid.build(plane.size[LATTICE[name]], LATTICE[name] === "fine" ? plane.ghosts : none, plane.rank);
    for (const name of "zr") $(`grid-${name}`).closest("figure").hidden = !plane.drawsZeros;
    $("no-zeros").hidden = plane.drawsZeros;
    for (const [name, grid] of this.drawn) if (name === "z") grid.cells.forEach((cell, n) => cell.classList.toggle("zero", plane.inputAt(n) < 0));
    this.arrange();
    this.fill();
    this.light();
  }

  arrange() {
    if (this.state.plane && this.root.clientWidth) arrange(this.root, Object.fromEntries(this.drawn));
  }

  fill() {
    const { state } = this;
    if (!state.plane) return;
    for (const [name, grid] of this.drawn) {
      const { texts, levels, hues } = look(state, name);
      grid.fill(texts, levels, (index) => this.nameOf({ grid: name, index }));
      grid.tint(hues);
    }
    for (const name of EDITABLE) {
      const edited = state.edits[name].size > 0;
      $(`preset-${name}`).value = edited ? "edited" : state.chosen[name];
      $(`again-${name}`).hidden = edited || state.chosen[name] !== "random";
    }
    this.hint();
    const [left, right] = state.products;
    $("identity-y").textContent = format(left);
    $("identity-u").textContent = format(right);
    this.light();
  }

  /** Say which kernel an interpolation wants, where this is another one. */
  hint() {
    const wanted = this.wanted();
    $("fitting").hidden = !wanted;
    if (wanted) $("fit").textContent = `Use ${wanted.words}`;
  }

  /** The kernel, padding and more that the chosen interpolation wants; null where they are there. */
  wanted() {
    const { state } = this;
    if (!(state.chosen.w in INTERPOLATIONS) || state.geometry.axes > 2) return null;
    const own = state.geometry.stride.map((s) => fitting(state.chosen.w, s));
    const { kernel, padding, dilation, outputPadding } = state.geometry;
    const fits = own.every((one, a) => one.kernel === kernel[a] && padding[a].every((p) => p === one.padding));
    if (fits && dilation.every((d) => d === 1) && outputPadding.every((o) => o === 0)) return null;
    return { words: `k${short(own.map((one) => one.kernel))} p${short(own.map((one) => one.padding))}` };
  }

  fit() {
    const wanted = this.wanted();
    const kept = String(this.state.geometry).split(" ").filter((word) => "ncisg".includes(word[0]));
    if (wanted) this.state.propose([...kept, wanted.words].join(" "));
  }

  light(how) {
    const { state } = this;
    if (!state.plane) return;
    const all = lights(state);
    const { cell } = state;
    for (const [name, grid] of this.drawn) grid.light(all[name], state.pinned?.grid === name);
    $("release").hidden = !state.pinned;
    $("change").hidden = !(state.pinned && EDITABLE.includes(state.pinned.grid));
    const told = cell ? explain(state, cell) : {};
    for (const card of ["up", "down", "zeros"]) tell($(`told-${card}`), told[card]);
    // What only the mouse points at is seen, and saying it would never end.
    if (cell && (how === "focused" || how === "pinned") && state[how]) this.aloud(told[CARD[cell.grid]] ?? told.up);
  }

  aloud(told) {
    this.say(`${this.state.pinned ? "Pinned. " : ""}${spoken(told)}`);
  }
}

/** Write an explanation into its place; without one the invitation stands there. */
function tell(place, told) {
  place.querySelector(".invitation").hidden = Boolean(told);
  place.querySelector(".told").hidden = !told;
  if (!told) return;
  place.querySelector(".title").textContent = told.title;
  place.querySelector(".remark").textContent = told.remark;
  place.querySelector(".lines").replaceChildren(...lines(told).map((line) => span("", ...line.flatMap((pieces) => [term(pieces), " "]))));
}

/** grid -> the card that speaks of its cells, if it is not the first */
const CARD = { u: "down", v: "down", z: "zeros" };
const SIDES = { x: "of-x", u: "of-x", z: "of-x", w: "of-w", r: "of-w", y: "of-y", v: "of-y" };
const term = (pieces) => span("term", ...pieces.filter(([text]) => text).map(piece));

function piece([text, of]) {
  if (of !== "letter") return of in SIDES ? span(SIDES[of], text) : text;
  const letter = document.createElement("sup");
  letter.textContent = text;
  return letter;
}

function span(className, ...children) {
  const made = document.createElement("span");
  made.className = className;
  made.append(...children);
  return made;
}
