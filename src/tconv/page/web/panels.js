// The cards below the stage: what the problem comes to.

import * as facts from "./facts.js";

const $ = (id) => document.getElementById(id);

export function element(name, className, ...children) {
  const made = document.createElement(name);
  if (className) made.className = className;
  made.append(...children);
  return made;
}

/** A line that begins with the name of its axis; where all axes are alike it needs none. */
const titled = (name, ...content) => element("div", "line", ...(name ? [element("span", "axis", name)] : []), ...content);
const list = (pairs) => pairs.flatMap(([term, value]) => [element("dt", "", term), element("dd", "", value)]);

/** Fill every card for `state`'s problem. */
export function showFacts(state) {
  const { geometry } = state;
  const sizes = facts.sizes(geometry);
  $("size-up").replaceChildren(...sizes.map((line) => titled(line.name, element("code", "", line.transposed))));
  $("size-down").replaceChildren(...sizes.map((line) => titled(line.name, element("code", "", line.convolution))));
  const lost = sizes.filter((line) => line.back !== line.input);
  $("size-note").textContent = lost.length ? "With this dilation several input sizes share one output size; the convolution names the largest of them." : "";
  $("zeros").replaceChildren(...facts.zeros(geometry).map((line) => titled(line.name, element("span", "", line.text))));
  const { figure, text } = facts.coverageText(geometry);
  $("figure").textContent = figure;
  $("figure-text").textContent = text;
  $("work").replaceChildren(...list(facts.work(geometry)));
  const { lines, text: sharing } = facts.channels(geometry);
  $("shapes").replaceChildren(...list(lines));
  $("sharing").textContent = sharing;
  showPhases(state);
}

function showPhases({ geometry, plane }) {
  const phases = facts.phases(geometry);
  if (!phases) {
    $("phases").replaceChildren("Too many phases to list.");
    return;
  }
  $("phases").replaceChildren(
    ...phases.map((line, a) => {
      // One line for all axes speaks of the phases on the diagonal, others of those with residue 0 elsewhere.
      const residues = (residue) => geometry.stride.map((_, axis) => (phases.length === 1 || axis === a ? residue : 0));
      const rows = line.taps.map((taps, residue) => element("li", taps.length ? "" : "none", swatch(plane, residues(residue)), words(residue, taps)));
      return titled(line.name, element("ol", "residues", ...rows));
    }),
  );
}

function words(residue, taps) {
  const named = taps.length > 12 ? `${taps.slice(0, 10).join(", ")} and ${taps.length - 10} more` : taps.join(", ");
  return `${residue}: ${taps.length ? `${taps.length === 1 ? "tap" : "taps"} ${named}` : "no tap, the bias alone"}`;
}

/** A spot in the colour that the drawing gives to a phase. */
function swatch(plane, residues) {
  const spot = element("span", "spot");
  if (plane) spot.style.setProperty("--hue", facts.swatch(plane, residues));
  else spot.classList.add("plain");
  return spot;
}
