// A boundary of errors: a turn that cannot be shown leaves the others as they are.

import { Component, html } from "../../lib/ui.js";
import { Action } from "./action.js";

export class Boundary extends Component {
  componentDidCatch(error) {
    this.setState({ error });
  }

  render({ bench, turn, children }, { error }) {
    if (!error) return children;
    return html`
      <section class="turn" aria-label="Turn that cannot be shown">
        <p class="problem" role="alert">This turn cannot be shown: ${error.message}</p>
        <span class="actions"><${Action} act=${() => bench.removeTurn(turn)}>Delete<//></span>
      </section>
    `;
  }
}
