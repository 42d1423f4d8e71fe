// The page `/fine-tuning`.

import { html, mount, Shell } from "../lib/ui.js";

function Page() {
  return html`<${Shell} page="/fine-tuning"><h1>Fine-tuning</h1><//>`;
}

mount(Page);
