// Switch between the branches at one place of a conversation.

import { html } from "../../lib/ui.js";
import { Action } from "./action.js";

export function Branches({ bench, turn, branches }) {
  if (branches.length < 2) return null;
  const place = branches.findIndex((branch) => branch.includes(turn));
  const go = (step) => bench.choose(branches[place + step][0]);
  return html`
    <span class="branches">
      <${Action} aria-label="Branch before" disabled=${place === 0} act=${() => go(-1)}>‹<//>
      <span class="number" aria-label="Branch ${place + 1} of ${branches.length}"
        >${place + 1} / ${branches.length}</span
      >
      <${Action} aria-label="Branch after" disabled=${place === branches.length - 1} act=${() => go(1)}>›<//>
    </span>
  `;
}
