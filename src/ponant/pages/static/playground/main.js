// The page `/playground`.

import { html, mount, Shell } from "../lib/ui.js";

function Page() {
  return html`<${Shell} page="/playground"><h1>Playground</h1><//>`;
}

mount(Page);
