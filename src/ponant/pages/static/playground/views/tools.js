// The tools that the model may call.

import { html } from "../../lib/ui.js";
import { Area } from "./area.js";
import { Check, Line, Panel } from "./panel.js";
import { useVerdict, Verdict } from "./verdict.js";

const EXAMPLE = {
  name: "get_weather",
  description: "The weather in a city now.",
  parameters: JSON.stringify(
    { type: "object", properties: { city: { type: "string" } }, required: ["city"], additionalProperties: false },
    null,
    2,
  ),
  strict: false,
};
const EMPTY = {
  name: "",
  description: "",
  parameters: JSON.stringify({ type: "object", properties: {} }, null, 2),
  strict: false,
};

export function ToolsPanel({ bench }) {
  const { settings } = bench.conversation;
  const { tools } = settings;
  const put = (place, fields) =>
    bench.set({ tools: tools.map((tool, at) => (at === place ? { ...tool, ...fields } : tool)) });
  const remove = (place) => bench.set({ tools: tools.filter((_, at) => at !== place) });
  const add = () => bench.set({ tools: [...tools, tools.length ? EMPTY : EXAMPLE] });
  return html`
    <${Panel} title="Tools" state=${tools.length ? `${tools.length}` : ""} open=${tools.length > 0}>
      ${tools.map(
        (tool, place) =>
          html`<${Tool} key=${place} bench=${bench} tool=${tool} place=${place} put=${put} remove=${remove} />`,
      )}
      <button type="button" onClick=${add}>Add a tool</button>
      ${tools.length > 0 && html`<${Choice} bench=${bench} settings=${settings} />`}
    <//>
  `;
}

function Tool({ bench, tool, place, put, remove }) {
  const verdict = useVerdict(bench.conversation.settings.model, JSON.stringify(tool), () => ({
    tools: [{ type: "function", function: { ...tool, parameters: JSON.parse(tool.parameters) } }],
  }));
  return html`
    <fieldset class="tool">
      <legend class="hidden">Tool ${place + 1}</legend>
      <label>
        Name
        <input
          class="mono"
          spellcheck=${false}
          value=${tool.name}
          onInput=${(event) => put(place, { name: event.target.value })}
        />
      </label>
      <label>
        Description
        <${Area} rows="1" value=${tool.description} write=${(description) => put(place, { description })} />
      </label>
      <label>
        Parameters, as a JSON schema
        <${Area}
          rows="3"
          class="mono"
          spellcheck=${false}
          value=${tool.parameters}
          write=${(parameters) => put(place, { parameters })}
        />
      </label>
      <${Check}
        label="strict"
        hint="Refuse parameters that cannot be enforced"
        checked=${tool.strict}
        change=${(strict) => put(place, { strict })}
      />
      <${Verdict} verdict=${verdict} accepted="The server accepts this tool." />
      <button type="button" class="small" aria-label="Remove ${tool.name || "the tool"}" onClick=${() => remove(place)}>
        Remove
      </button>
    </fieldset>
  `;
}

function Choice({ bench, settings }) {
  const { tools, toolChoice, parallel } = settings;
  return html`
    <${Line} label="tool_choice">
      <select value=${toolChoice} onChange=${(event) => bench.set({ toolChoice: event.target.value })}>
        <option value="auto">auto</option>
        <option value="none">none</option>
        <option value="any">any</option>
        ${tools.map(({ name }) => name && html`<option key=${name} value=${`=${name}`}>${name}</option>`)}
      </select>
    <//>
    <${Check} label="Parallel calls" checked=${parallel} change=${(value) => bench.set({ parallel: value })} />
  `;
}
