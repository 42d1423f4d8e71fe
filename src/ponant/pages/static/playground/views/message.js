// A message of the user, or of the system within a conversation.

import { html, useState } from "../../lib/ui.js";
import { textOf } from "../conversation.js";
import { Action } from "./action.js";
import { Branches } from "./branches.js";
import { Editor } from "./editor.js";

const NAMES = { user: "You", system: "System" };

export function Message({ bench, turn, branches }) {
  const [isEdited, setEdited] = useState(false);
  const text = textOf(turn.content);
  const resend = (changed) => {
    setEdited(false);
    bench.resend(turn, changed);
  };
  return html`
    <section class="turn" aria-label=${NAMES[turn.role]}>
      <div class="turn-head">
        <h2 class="turn-name">${NAMES[turn.role]}</h2>
        <${Branches} bench=${bench} turn=${turn} branches=${branches} />
        ${!isEdited && html`<${Actions} bench=${bench} turn=${turn} edit=${() => setEdited(true)} />`}
      </div>
      ${
        isEdited
          ? html`<${Editor}
              label="Message"
              text=${text}
              actions=${[["Send as a branch", resend]]}
              cancel=${() => setEdited(false)}
            />`
          : html`<div class="said">${text}</div>`
      }
    </section>
  `;
}

function Actions({ bench, turn, edit }) {
  const isText = typeof turn.content === "string";
  return html`
    <span class="actions">
      ${isText && html`<${Action} act=${edit}>Edit<//>`}
      ${turn.children.length > 0 && html`<${Action} act=${() => bench.branchAfter(turn)}>Branch<//>`}
      <${Action} act=${() => bench.removeTurn(turn)}>Delete<//>
    </span>
  `;
}
