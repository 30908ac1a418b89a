// The same layer in the words of other frameworks, written by Python: the server answers, a copy holds some.

import { copying } from "./copying.js";
import { element } from "./panels.js";

const $ = (id) => document.getElementById(id);

/** Spelling -> {framework: {title, code, notes}}: of `problem` from the server, of several from a copy of the page. */
async function ask(problem) {
  if (globalThis.tconvCalls) return globalThis.tconvCalls;
  try {
    const answer = await fetch(`calls.json?problem=${encodeURIComponent(problem)}`);
    return answer.ok ? await answer.json() : {};
  } catch {
    return {}; // the server was stopped
  }
}

/** A card for each framework, made when the first calls come. */
export class Calls {
  known = {}; // the last answer
  cards = new Map();
  settled = null; // a promise while an answer is awaited

  constructor(state, say) {
    Object.assign(this, { state, say });
    copying($("copy-command"), () => $("command").textContent, say);
    state.addEventListener("problem", () => {
      this.settled ??= this.follow();
    });
  }

  /** Show the state's problem; what stands there stays until its answer comes, and one is awaited at a time. */
  async follow() {
    await null; // so that `settled` is set before it is cleared
    let shown = null;
    while (shown !== String(this.state.geometry)) {
      shown = String(this.state.geometry);
      this.known = await ask(shown);
      if (shown === String(this.state.geometry)) this.show(shown, this.known[shown]);
    }
    this.settled = null;
  }

  show(problem, calls) {
    $("calls").hidden = !calls;
    $("no-calls").hidden = Boolean(calls);
    $("command").textContent = `tconv explain "${problem}" --only frameworks`;
    for (const [name, { title, code, notes }] of Object.entries(calls ?? {})) {
      if (!this.cards.has(name)) this.cards.set(name, this.card(name, title));
      const card = this.cards.get(name);
      card.block.hidden = card.button.hidden = !code;
      card.code.textContent = code;
      card.notes.replaceChildren(...notes.map((note) => element("p", "", `${note}.`)));
    }
  }

  card(name, title) {
    const code = element("code", "");
    const notes = element("div", "hint");
    const button = element("button", "small", "Copy");
    button.type = "button";
    button.setAttribute("aria-label", `Copy the call for ${title}`);
    copying(button, async () => (await this.settled, code.textContent), this.say);
    const block = element("pre", "", code);
    block.tabIndex = 0; // a long line is scrolled by keyboard too
    block.setAttribute("aria-label", `${title} code`);
    const card = element("article", "card call", element("div", "head", element("h3", "", title), button), block, notes);
    card.dataset.framework = name;
    $("calls").append(card);
    return { code, notes, block, button };
  }
}
