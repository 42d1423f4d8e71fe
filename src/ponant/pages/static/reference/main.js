// The page `/docs`.

import { html, mount, Shell } from "../lib/ui.js";

function Page() {
  return html`<${Shell} page="/docs"><h1>Reference</h1><//>`;
}

mount(Page);
