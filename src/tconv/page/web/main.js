// Where the page begins: one state, and the parts that show it.

import { fromAddress, themeOf, toAddress, wishes } from "./address.js";
import { Calls } from "./calls.js";
import { Controls } from "./controls.js";
import { copying } from "./copying.js";
import { showFacts } from "./panels.js";
import { Player } from "./player.js";
import { problemIn } from "./spelling.js";
import { Stage } from "./stage.js";
import { State } from "./state.js";

const $ = (id) => document.getElementById(id);

const { embedded, theme } = wishes(location.search);
document.documentElement.classList.toggle("embedded", embedded);
if (theme) document.documentElement.dataset.theme = theme;
$("controls").open = !embedded && innerWidth >= 1100;

const state = new State();
const say = (message) => ($("live").textContent = message);
const propose = (text) => state.propose(text);
const controls = new Controls({ spatial: $("spatial"), channels: $("channels"), rank: $("rank"), alike: $("alike") }, propose);
const field = $("problem");
new Stage(state, say);
new Player(state);
if (!embedded) new Calls(state, say);

function complain(message) {
  $("fault").textContent = message;
  field.setAttribute("aria-invalid", String(Boolean(message)));
}

state.addEventListener("fault", ({ detail }) => {
  complain(detail.message);
  if (document.activeElement !== field) field.value = detail.text;
});
state.addEventListener("problem", () => {
  const text = String(state.geometry);
  if (document.activeElement !== field) field.value = text;
  controls.show(state.geometry);
  $("note").textContent = state.note;
  $("alone").href = location.pathname + toAddress(text);
  document.title = `${text} · tconv`;
  showFacts(state);
  history.replaceState(null, "", toAddress(text));
});

field.addEventListener("input", () => propose(problemIn(field.value)));
field.addEventListener("blur", () => {
  if (!$("fault").textContent) field.value = String(state.geometry);
});
$("examples").addEventListener("click", (event) => {
  const { problem } = event.target.dataset;
  if (problem) propose(problem);
});
$("colour").addEventListener("change", (event) => state.paint(event.target.value));
copying($("copy-link"), () => location.href.split(/[?#]/)[0] + toAddress(String(state.geometry)), say);

/** Show what the address names; where it names nothing that could be, the last good problem stays. */
function open() {
  const named = fromAddress(location.hash);
  if (named?.text !== undefined && state.propose(named.text)) return;
  if (!state.geometry) keepingFault(() => state.propose(field.dataset.problem), named);
  else if (named?.fault) complain(named.fault);
}

/** Fall back to the default without losing what the address was refused for. */
function keepingFault(fallBack, named) {
  const asked = location.hash;
  const message = named?.fault ?? $("fault").textContent;
  fallBack();
  if (!message) return;
  history.replaceState(null, "", asked);
  complain(message);
  if (named?.text !== undefined) field.value = named.text;
}

addEventListener("hashchange", open);
// A page that shows this one in a frame says which theme it has.
addEventListener("message", ({ data }) => {
  const wished = themeOf(data?.theme);
  if (wished) document.documentElement.dataset.theme = wished;
  else if (data?.theme === "auto") delete document.documentElement.dataset.theme;
});
open();
