// The answers of one group, side by side.

import { html } from "../../lib/ui.js";
import { measuresOf } from "../answer.js";
import { Action } from "./action.js";
import { Answer } from "./answer.js";
import { Branches } from "./branches.js";

export function Answers({ bench, turn, group, branches, point, pointed }) {
  const names = [...new Set(group.map((answer) => answer.asked.model))];
  const isRunning = group.some((answer) => bench.isRunning(answer));
  const regenerate = () => bench.answer(turn.parent);
  return html`
    <section class="turn" aria-label="Answer of ${names.join(" and ")}">
      <div class="turn-head">
        <h2 class="turn-name">${names.join(" · ") || "Assistant"}</h2>
        <${Branches} bench=${bench} turn=${turn} branches=${branches} />
        <span class="actions">
          ${!isRunning && html`<${Action} disabled=${Boolean(bench.round)} act=${regenerate}>Regenerate<//>`}
        </span>
      </div>
      <div class=${group.length > 1 ? "cards several" : "cards"}>
        ${group.map(
          (answer) => html`
            <${Answer}
              key=${answer.id}
              bench=${bench}
              answer=${answer}
              heading=${headingOf(answer, group, names)}
              siblings=${group.filter((other) => other.asked === answer.asked).length}
              isChosen=${answer === turn}
              isAlone=${group.length === 1}
              point=${point}
              pointed=${pointed?.turn === answer ? pointed : null}
            />
          `,
        )}
      </div>
      <${Gain} group=${group} />
    </section>
  `;
}

/** Return the heading of a card: what its request has and the others of the group have not. */
function headingOf(answer, group, names) {
  if (answer.asked.note) return answer.asked.note;
  const alike = group.filter((other) => other.asked.model === answer.asked.model).length;
  const place = alike > 1 ? `${answer.index + 1} of ${alike}` : "";
  return names.length > 1 ? [answer.asked.model, place].filter(Boolean).join(" · ") : place;
}

/** The gain of a prediction: the speeds of two answers, with it and without it. */
function Gain({ group }) {
  const [predicted, plain] = [true, false].map((has) =>
    group.find((answer) => Boolean(answer.asked.fields.prediction) === has),
  );
  if (!predicted?.usage || !plain?.usage || !predicted.asked.note) return null;
  const [fast, slow] = [predicted, plain].map((answer) => measuresOf(answer, 1));
  const gain = fast.speed && slow.speed ? fast.speed / slow.speed : null;
  return html`
    <p class="gain" role="status">
      <strong>${gain ? `${gain.toFixed(2)} times as fast with the prediction.` : "Too short to compare."}</strong>
      ${` ${fast.accepted ?? 0} predicted tokens accepted, ${fast.rejected ?? 0} rejected`}
      ${gain ? `, ${fast.speed.toFixed(1)} against ${slow.speed.toFixed(1)} tokens/s.` : "."}
    </p>
  `;
}
