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
              siblings=${siblingsOf(answer, group)}
              isChosen=${answer === turn}
              isAlone=${group.length === 1}
              point=${point}
              pointed=${pointed?.turn === answer ? pointed : null}
            />
          `,
        )}
      </div>
      ${names.map((model) => html`<${Gain} key=${model} group=${group} model=${model} isNamed=${names.length > 1} />`)}
    </section>
  `;
}

/** Return the heading of a card: what its request has and the others of the group have not. */
function headingOf(answer, group, names) {
  const { model, note } = answer.asked;
  const alike = group.filter(({ asked }) => asked.model === model && asked.note === note);
  const place = alike.length > 1 ? `${alike.indexOf(answer) + 1} of ${alike.length}` : "";
  return [names.length > 1 && model, note, place].filter(Boolean).join(" · ");
}

/** The gain of a prediction: the speeds of the first answers of a model, with it and without it. */
function Gain({ group, model, isNamed }) {
  const answers = group.filter((answer) => answer.asked.model === model && answer.asked.note);
  const [predicted, plain] = [true, false].map((has) =>
    answers.find((answer) => Boolean(answer.asked.fields.prediction) === has),
  );
  if (!predicted?.usage || !plain?.usage) return null;
  const [fast, slow] = [predicted, plain].map((answer) => measuresOf(answer, siblingsOf(answer, group)));
  const gain = fast.speed && slow.speed ? fast.speed / slow.speed : null;
  return html`
    <p class="gain" role="status">
      ${isNamed && `${model}: `}
      <strong>${gain ? `${gain.toFixed(2)} times as fast with the prediction.` : "Too short to compare."}</strong>
      ${` ${fast.accepted ?? 0} predicted tokens accepted, ${fast.rejected ?? 0} rejected`}
      ${gain ? `, ${fast.speed.toFixed(1)} against ${slow.speed.toFixed(1)} tokens/s.` : "."}
    </p>
  `;
}

/** Return the number of answers of the same request. */
function siblingsOf(answer, group) {
  return group.filter((other) => other.run === answer.run).length;
}
