// The options as steppers. Every change is written as a spelling and proposed; the spelling decides.

import { axisNames } from "./facts.js";
import { write } from "./spelling.js";

/** option -> [label, the least that can be, what it does] */
const SPATIAL = {
  input: ["input", 1, "size of the input"],
  kernel: ["kernel", 1, "size of the kernel, k"],
  stride: ["stride", 1, "outputs between the stamps of neighbouring inputs, s"],
  lo: ["padding before", null, "outputs cropped at the start; negative ones are added"],
  hi: ["padding after", null, "outputs cropped at the end; negative ones are added"],
  outputPadding: ["output padding", 0, "outputs added at the end, below max(stride, dilation)"],
  dilation: ["dilation", 1, "outputs between neighbouring taps, d"],
};
const CHANNELS = {
  batch: ["batch", 0, "pictures at once"],
  inChannels: ["channels in", 1, "channels of the input"],
  outChannels: ["channels out", 1, "channels of the output"],
  groups: ["groups", 1, "each sees its own share of the channels"],
};

function element(name, attributes = {}, ...children) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  made.append(...children);
  return made;
}

export class Controls {
  /** `propose(text)` shows a problem. */
  constructor({ spatial, channels, rank, alike }, propose) {
    Object.assign(this, { spatial, channels, rank, alike, propose });
    for (const part of [spatial, channels]) {
      part.addEventListener("input", (event) => this.typed(event.target));
      part.addEventListener("focusout", (event) => this.left(event.target));
      part.addEventListener("click", (event) => this.stepped(event.target.closest("button")));
    }
    rank.addEventListener("change", (event) => this.changeRank(Number(event.target.value)));
    alike.addEventListener("change", () => this.changeAlike());
  }

  /** Show the options of `geometry`; the steppers are made anew only where the number of axes changes. */
  show(geometry) {
    const values = valuesOf(geometry);
    const same = Object.keys(SPATIAL).every((option) => new Set(values[option]).size === 1);
    const before = this.values;
    this.values = values;
    if (!same) this.alike.checked = false;
    else if (!before) this.alike.checked = geometry.axes > 1;
    this.alike.disabled = geometry.axes === 1;
    this.rank.querySelector(`[value="${geometry.axes}"]`).checked = true;
    const shape = `${geometry.axes}${this.columns}`;
    if (shape !== this.shape) this.build(axisNames(geometry));
    this.shape = shape;
    this.refresh();
  }

  get axes() {
    return this.values.input.length;
  }

  /** How many steppers an option has: one where all axes are alike. */
  get columns() {
    return this.alike.checked ? 1 : this.axes;
  }

  build(names) {
    const many = this.columns > 1;
    this.spatial.replaceChildren(
      ...Object.entries(SPATIAL).map(([option, [label, least, title]]) => {
        const steppers = Array.from({ length: this.columns }, (_, a) =>
          stepper(option, a, many ? `${label}, ${names[a]}` : label, least, many ? names[a] : ""),
        );
        return element("div", { class: "option", title }, element("span", { class: "name" }, label), ...steppers);
      }),
    );
    this.channels.replaceChildren(
      ...Object.entries(CHANNELS).map(([option, [label, least, title]]) =>
        element("div", { class: "option", title }, element("span", { class: "name" }, label), stepper(option, "", label, least, "")),
      ),
    );
  }

  /** The numbers into the fields, but not into the one that is being typed in. */
  refresh() {
    for (const field of this.fields()) {
      const { option, axis } = field.dataset;
      const value = axis === "" ? this.values[option] : this.values[option][axis];
      if (field !== document.activeElement || Number(field.value) !== value) field.value = value;
      field.removeAttribute("aria-invalid");
    }
  }

  fields() {
    return [...this.spatial.querySelectorAll("input"), ...this.channels.querySelectorAll("input")];
  }

  stepped(button) {
    if (!button) return;
    const field = button.parentElement.querySelector("input");
    field.value = (parseInt(field.value, 10) || 0) + Number(button.dataset.by);
    this.typed(field);
  }

  /** A field that is left empty shows what holds. */
  left(field) {
    if (field.dataset.option && field.value.trim() === "") this.refresh();
  }

  /** Propose the problem with what stands in `field`. */
  typed(field) {
    if (!field.dataset.option || field.value.trim() === "") return;
    const values = structuredClone(this.values);
    const value = Number(field.value);
    const { option, axis } = field.dataset;
    if (axis === "") values[option] = value;
    else if (this.columns === 1) values[option].fill(value);
    else values[option][axis] = value;
    if (this.propose(spell(values))) return;
    field.setAttribute("aria-invalid", "true");
  }

  /** Fewer axes lose the first ones; more repeat the first. */
  changeRank(axes) {
    const values = structuredClone(this.values);
    for (const option of Object.keys(SPATIAL)) {
      const old = values[option];
      values[option] = axes <= old.length ? old.slice(-axes) : [...new Array(axes - old.length).fill(old[0]), ...old];
    }
    if (axes > 1 && this.axes === 1) this.alike.checked = true;
    this.propose(spell(values));
  }

  /** Alike: every axis takes the options of the last one. */
  changeAlike() {
    const values = structuredClone(this.values);
    if (this.alike.checked) for (const option of Object.keys(SPATIAL)) values[option].fill(values[option].at(-1));
    this.propose(spell(values));
  }
}

function stepper(option, axis, label, least, tag) {
  const field = element("input", { type: "number", inputmode: "numeric", "aria-label": label, "data-option": option, "data-axis": axis });
  if (least !== null) field.min = least;
  const button = (by, sign, word) => element("button", { type: "button", tabindex: -1, "data-by": by, "aria-label": `${word} ${label}` }, sign);
  const tags = tag ? [element("span", { class: "tag", "aria-hidden": "true" }, tag)] : [];
  return element("span", { class: "stepper" }, ...tags, button(-1, "−", "less"), field, button(1, "+", "more"));
}

function valuesOf(geometry) {
  const { batch, inChannels, outChannels, groups, input, kernel, stride, outputPadding, dilation, padding } = geometry;
  const sides = { lo: padding.map(([lo]) => lo), hi: padding.map(([, hi]) => hi) };
  return structuredClone({ batch, inChannels, outChannels, groups, input, kernel, stride, outputPadding, dilation, ...sides });
}

const spell = (values) => write({ ...values, padding: values.lo.map((lo, a) => [lo, values.hi[a]]) });
