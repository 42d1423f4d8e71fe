// Redraws: at most one per frame, and fewer while they take long. The body has `data-pending` until changes are drawn.

const SHARE = 2;

/** Calls a function after changes. Redraws take at most a third of the time, so that the page stays usable. */
export class Redraw {
  /** @param {() => void} draw starts a redraw, which ends before the next timer */
  constructor(draw) {
    this.draw = draw;
    this.isAsked = false;
    this.ended = 0;
    this.cost = 0;
  }

  /** Ask for a redraw. */
  ask() {
    if (this.isAsked) return;
    this.isAsked = true;
    document.body.dataset.pending = "";
    const wait = this.ended + SHARE * this.cost - performance.now();
    setTimeout(() => requestAnimationFrame(() => this.run()), Math.max(0, wait));
  }

  run() {
    const begun = performance.now();
    this.isAsked = false;
    this.draw();
    setTimeout(() => {
      this.ended = performance.now();
      this.cost = this.ended - begun;
      if (!this.isAsked) delete document.body.dataset.pending;
    });
  }
}
