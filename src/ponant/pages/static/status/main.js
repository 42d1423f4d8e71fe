// The page `/`.

import { html, mount, Shell } from "../lib/ui.js";

function Page() {
  return html`<${Shell} page="/"><h1>Status</h1><//>`;
}

mount(Page);
