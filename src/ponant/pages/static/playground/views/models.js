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
      ${kind === "chat" &&
      html`
        <label>
          Beside it
          <${Models} models=${models} value=${settings.beside} none="no other model" change=${(beside) => bench.set({ beside })} />
        </label>
        <label>
          System message
          <${Area} rows="2" value=${settings.system} write=${(system) => bench.set({ system })} placeholder="Instructions for the whole conversation" />
        </label>
      `}
    <//>
  `;
}

function Models({ models, value, none, change }) {
  const isKnown = !value || models.some((model) => model.id === value || model.aliases?.includes(value));
  return html`
    <select value=${value} onChange=${(event) => change(event.target.value)}>
      ${(none || !value) && html`<option value="">${none ?? "no model"}</option>`}
      ${!isKnown && html`<option value=${value}>${value} (not served)</option>`}
      ${models.map((model) => html`<option key=${model.id} value=${model.id}>${model.id}</option>`)}
      ${models.flatMap((model) => (model.aliases ?? []).filter((alias) => alias === value).map((alias) => html`<option key=${alias} value=${alias}>${alias}</option>`))}
    </select>
  `;
}
