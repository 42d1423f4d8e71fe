// A button that looks like a word: an action on a turn.

import { html } from "../../lib/ui.js";

/** `act`: function to call; further properties are those of a button. */
export function Action({ act, children, ...others }) {
  return html`<button type="button" class="link" onClick=${act} ...${others}>${children}</button>`;
}
