// The panels beside the conversation: model, sampling, format, tools, prediction, reasoning, and the request as code.

import { html } from "../../lib/ui.js";
import { Code } from "./code.js";
import { ModelPanel } from "./models.js";
import { PredictionPanel } from "./prediction.js";
import { SamplingPanel } from "./sampling.js";
import { SchemaPanel } from "./schema.js";
import { ToolsPanel } from "./tools.js";

export function Panels({ bench, isShown }) {
  const { kind, id } = bench.conversation;
  const isChat = kind === "chat";
  return html`
    <aside class=${isShown ? "panels shown" : "panels"} aria-label="Settings and code" key=${id}>
      <${ModelPanel} bench=${bench} />
      <${SamplingPanel} bench=${bench} />
      ${isChat && html`<${SchemaPanel} bench=${bench} />`} ${isChat && html`<${ToolsPanel} bench=${bench} />`}
      ${isChat && html`<${PredictionPanel} bench=${bench} />`}
      <${Code} bench=${bench} />
    </aside>
  `;
}
