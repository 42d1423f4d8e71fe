// The format of answers: text, any JSON object, or JSON of a schema, with the server's verdict on the schema.

import { html } from "../../lib/ui.js";
import { Area } from "./area.js";
import { Line, Panel } from "./panel.js";
import { useVerdict, Verdict } from "./verdict.js";

const EXAMPLE = JSON.stringify(
  {
    type: "object",
    properties: { name: { type: "string" }, year: { type: "integer", minimum: 1000, maximum: 2100 } },
    required: ["name", "year"],
    additionalProperties: false,
  },
  null,
  2,
);
const FORMATS = { text: "text", json_object: "JSON object", json_schema: "JSON schema" };

export function SchemaPanel({ bench }) {
  const { settings } = bench.conversation;
  const { format } = settings;
  const choose = (chosen) => {
    bench.set({ format: chosen, ...(chosen === "json_schema" && !settings.schema ? { schema: EXAMPLE } : {}) });
  };
  return html`
    <${Panel} title="JSON schema" state=${format === "text" ? "" : "on"} open=${format !== "text"}>
      <${Line} label="Format">
        <select value=${format} onChange=${(event) => choose(event.target.value)}>
          ${Object.entries(FORMATS).map(
            ([value, label]) => html`<option key=${value} value=${value}>${label}</option>`,
          )}
        </select>
      <//>
      ${format === "json_schema" && html`<${Schema} bench=${bench} settings=${settings} />`}
    <//>
  `;
}

function Schema({ bench, settings }) {
  const verdict = useVerdict(settings.model, settings.schema, (schema) => ({
    response_format: { type: "json_schema", json_schema: { name: settings.schemaName || "answer", schema } },
  }));
  return html`
    <label>
      Schema
      <${Area}
        rows="4"
        class="mono"
        spellcheck=${false}
        value=${settings.schema}
        write=${(schema) => bench.set({ schema })}
      />
    </label>
    <${Verdict} verdict=${verdict} accepted="The server accepts this schema." />
  `;
}
