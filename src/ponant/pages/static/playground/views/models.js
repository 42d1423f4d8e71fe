// The model, a second one beside it, and the system message.

import { html } from "../../lib/ui.js";
import { Area } from "./area.js";
import { Panel } from "./panel.js";

export function ModelPanel({ bench }) {
  const { kind, settings } = bench.conversation;
  const models = bench.modelsFor(kind);
  return html`
    <${Panel} title="Model" open>
      <label>
        <span class="hidden">Model</span>
        <${Models} models=${models} value=${settings.model} change=${(model) => bench.set({ model })} />
      </label>
      ${
        kind === "chat" &&
        html`
          <label>
            Beside it
            <${Models}
              models=${models}
              value=${settings.beside}
              none="no other model"
              change=${(beside) => bench.set({ beside })}
            />
          </label>
          <label>
            System message
            <${Area}
              rows="2"
              value=${settings.system}
              write=${(system) => bench.set({ system })}
              placeholder="Instructions for the whole conversation"
            />
          </label>
        `
      }
    <//>
  `;
}

function Models({ models, value, none, change }) {
  const isAlias = models.some((model) => model.aliases?.includes(value));
  const isKnown = !value || isAlias || models.some((model) => model.id === value);
  return html`
    <select value=${value} onChange=${(event) => change(event.target.value)}>
      ${(none || !value) && html`<option value="">${none ?? "no model"}</option>`}
      ${!isKnown && html`<option value=${value}>${value} (not served)</option>`}
      ${models.map((model) => html`<option key=${model.id} value=${model.id}>${model.id}</option>`)}
      ${isAlias && html`<option value=${value}>${value}</option>`}
    </select>
  `;
}
