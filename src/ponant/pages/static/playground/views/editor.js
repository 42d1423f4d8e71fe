// The field in which the text of a turn is edited.

import { html, useLayoutEffect, useRef, useState } from "../../lib/ui.js";
import { Area } from "./area.js";

/** `actions`: labels with functions that receive the text; the first one is that of Ctrl+Enter. */
export function Editor({ label, text, actions, cancel }) {
  const [changed, setChanged] = useState(text);
  const area = useRef(null);
  useLayoutEffect(() => {
    area.current.focus();
    area.current.setSelectionRange(text.length, text.length);
  }, []);
  const press = (event) => {
    if (event.key === "Escape") {
      event.stopPropagation();
      cancel();
    } else if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) {
      event.preventDefault();
      actions[0][1](changed);
    }
  };
  return html`
    <div class="editor">
      <${Area} area=${area} aria-label=${label} value=${changed} write=${setChanged} onKeyDown=${press} />
      <div class="row">
        ${actions.map(
          ([name, act, title], place) =>
            html`<button
              type="button"
              key=${name}
              title=${title}
              class=${place === 0 ? "primary" : ""}
              onClick=${() => act(changed)}
            >
              ${name}
            </button>`,
        )}
        <button type="button" onClick=${cancel}>Cancel</button>
      </div>
    </div>
  `;
}
