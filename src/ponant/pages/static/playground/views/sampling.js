// The settings of sampling, of the number of answers, and of their colours.

import { html, useState } from "../../lib/ui.js";
import { extraFields, MOST_CHOICES, NUMBERS, REASONING } from "../settings.js";
import { strengthOf } from "../tokens.js";
import { Area } from "./area.js";
import { Check, Line, NumberLine, Panel } from "./panel.js";

const FIRST = ["temperature", "top_p", "max_tokens", "random_seed"];
const REASONING_LABELS = {
  "": "no",
  reasoning: "on",
  low: "effort: low",
  medium: "effort: medium",
  high: "effort: high",
  none: "effort: none",
};

export function SamplingPanel({ bench }) {
  const { kind, settings } = bench.conversation;
  if (kind === "embeddings") {
    return html`<${Panel} title="Fields"
      ><${Others} bench=${bench} settings=${settings} example='{"output_dimension": 64}'
    /><//>`;
  }
  return html`
    <${Panel} title="Sampling" open>
      <${Numbers} bench=${bench} names=${FIRST} />
      ${kind === "chat" && html`<${OfChat} bench=${bench} settings=${settings} />`}
      <details class="more">
        <summary>More fields</summary>
        ${kind === "chat" && html`<${Numbers} bench=${bench} names=${["presence_penalty", "frequency_penalty"]} />`}
        <${Stops} stops=${settings.stop} change=${(stop) => bench.set({ stop })} />
        <${Others} bench=${bench} settings=${settings} example='{"min_tokens": 5}' />
      </details>
    <//>
  `;
}

function Numbers({ bench, names }) {
  const { settings } = bench.conversation;
  const model = bench.models.find((one) => one.id === settings.model || one.aliases?.includes(settings.model));
  return NUMBERS.filter(({ name }) => names.includes(name)).map(
    ({ name, usual, ...bounds }) => html`
      <${NumberLine}
        key=${name}
        label=${name}
        value=${settings[name]}
        change=${(value) => bench.set({ [name]: value })}
        placeholder=${name === "temperature" ? (model?.default_model_temperature ?? "") : usual}
        ...${bounds}
      />
    `,
  );
}

function OfChat({ bench, settings }) {
  return html`
    <${NumberLine}
      label="n side by side"
      value=${settings.n}
      min="1"
      max=${MOST_CHOICES}
      step="1"
      change=${(n) => bench.set({ n: n ?? 1 })}
    />
    <${Line} label="Reasoning">
      <select value=${settings.reasoning} onChange=${(event) => bench.set({ reasoning: event.target.value })}>
        ${REASONING.map((value) => html`<option key=${value} value=${value}>${REASONING_LABELS[value]}</option>`)}
      </select>
    <//>
    <${Check} label="Colour by probability" checked=${settings.colour} change=${(colour) => bench.set({ colour })} />
    ${settings.colour && html`<${Legend} />`}
  `;
}

function Others({ bench, settings, example }) {
  const { problems } = extraFields(settings);
  return html`
    <label>
      Other fields, as JSON
      <${Area}
        rows="1"
        class="mono"
        spellcheck=${false}
        placeholder=${example}
        value=${settings.extra}
        write=${(extra) => bench.set({ extra })}
      />
    </label>
    ${problems.map(({ message }) => html`<p key=${message} class="problem">${message}</p>`)}
  `;
}

function Legend() {
  const marks = [1, 0.5, 0.1, 0.01];
  return html`
    <p class="legend number">
      ${marks.map(
        (share) => html`
          <span key=${share} class="token" style=${{ "--strength": strengthOf(Math.log(share)) }}>${share * 100}%</span>
        `,
      )}
    </p>
    <p class="hint muted">Requests ask for logprobs, so earlier answers have no colours.</p>
  `;
}

/** Stop strings, one a line; `\n` and `\t` stand for these characters. */
function Stops({ stops, change }) {
  const [text, setText] = useState(stops.map(shown).join("\n"));
  const write = (written) => {
    setText(written);
    change(written.split("\n").filter(Boolean).map(meant));
  };
  return html`
    <label>
      Stop strings, one a line
      <${Area} rows="1" class="mono" spellcheck=${false} placeholder="\\n" value=${text} write=${write} />
    </label>
  `;
}

const shown = (stop) => stop.replaceAll("\\", "\\\\").replaceAll("\n", "\\n").replaceAll("\t", "\\t");
const meant = (text) => text.replace(/\\(\\|n|t)/g, (_, letter) => ({ "\\": "\\", n: "\n", t: "\t" })[letter]);
