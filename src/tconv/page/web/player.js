// The step slider: cell after cell, by hand or by itself.

const $ = (id) => document.getElementById(id);
const WHOLE = 9000; // milliseconds that a walk of many cells takes
const SHORTEST = 40; // milliseconds that a step takes at least

export class Player {
  constructor(state) {
    this.state = state;
    this.timer = null;
    this.slider = $("step");
    this.button = $("play");
    this.slider.addEventListener("input", () => {
      const step = Number(this.slider.value); // before pause() shows the old one
      this.pause();
      state.goTo(step);
    });
    this.button.addEventListener("click", () => (this.timer ? this.pause() : this.play()));
    $("order").addEventListener("change", (event) => {
      this.pause();
      state.walk(event.target.value);
    });
    state.addEventListener("problem", () => {
      this.pause();
      this.show();
    });
    state.addEventListener("numbers", () => this.show());
  }

  play() {
    const { state } = this;
    if (!state.plane) return;
    if (state.step === null) state.goTo(0);
    const pace = Math.min(700, Math.max(SHORTEST, WHOLE / state.steps));
    const cells = Math.ceil((state.steps * SHORTEST) / WHOLE); // at once, where there are very many
    this.timer = setInterval(() => {
      state.goTo((state.step ?? state.steps) + cells);
      if (state.step === null) this.pause();
    }, pace);
    this.show();
  }

  pause() {
    clearInterval(this.timer);
    this.timer = null;
    this.show();
  }

  show() {
    const { state } = this;
    const playing = this.timer !== null;
    this.button.setAttribute("aria-label", playing ? "pause" : "play");
    this.button.dataset.playing = playing;
    if (!state.plane) return;
    const step = state.step ?? state.steps;
    this.slider.max = state.steps;
    this.slider.value = step;
    this.slider.setAttribute("aria-valuetext", `step ${step} of ${state.steps}`);
    $("step-text").textContent = `${step} of ${state.steps}`;
  }
}
