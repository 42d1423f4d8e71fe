// The expected answer: parts of it that are right are generated faster.

import { html } from "../../lib/ui.js";
import { pathOf, textOf } from "../conversation.js";
import { Area } from "./area.js";
import { Check, Panel } from "./panel.js";

export function PredictionPanel({ bench }) {
  const { settings } = bench.conversation;
  const { prediction, comparePrediction } = settings;
  const isOn = prediction !== null;
  const answer = pathOf(bench.conversation).findLast((turn) => turn.role === "assistant");
  const take = () => bench.set({ prediction: textOf(answer.content) });
  return html`
    <${Panel} title="Prediction" state=${isOn ? "on" : ""} open=${isOn}>
      <${Check}
        label="Predict the answer"
        checked=${isOn}
        change=${(on) => bench.set({ prediction: on ? "" : null })}
      />
      ${
        isOn &&
        html`
          <label>
            Expected answer
            <${Area}
              rows="3"
              value=${prediction}
              write=${(text) => bench.set({ prediction: text })}
              placeholder="The text or code that the answer mostly repeats"
            />
          </label>
          ${answer?.content && html`<button type="button" class="small" onClick=${take}>Take the last answer</button>`}
          <${Check}
            label="Compare with none"
            hint="Send the request twice, one after the other, and show the gain"
            checked=${comparePrediction}
            change=${(compare) => bench.set({ comparePrediction: compare })}
          />
        `
      }
    <//>
  `;
}
