// Switch between the branches at one place of a conversation.

import { html } from "../../lib/ui.js";

export function Branches({ bench, turn, branches }) {
  if (branches.length < 2) return null;
  const place = branches.findIndex((branch) => branch.includes(turn));
  const go = (step) => bench.choose(branches[place + step][0]);
  return html`
    <span class="branches">
      <button type="button" class="link" aria-label="Branch before" disabled=${place === 0} onClick=${() => go(-1)}>‹</button>
      <span class="number" aria-label="Branch ${place + 1} of ${branches.length}">${place + 1} / ${branches.length}</span>
      <button type="button" class="link" aria-label="Branch after" disabled=${place === branches.length - 1} onClick=${() => go(1)}>›</button>
    </span>
  `;
}
