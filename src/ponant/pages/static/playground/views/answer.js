// The card of one answer.

import { CopyButton, html, useMemo, useState } from "../../lib/ui.js";
import { textOf } from "../conversation.js";
import { refusalOfPrefix } from "../request.js";
import { SchemaCheck } from "../schema_check.js";
import { Action } from "./action.js";
import { Coloured } from "./coloured.js";
import { Editor } from "./editor.js";
import { Markdown } from "./markdown.js";
import { Measures } from "./measures.js";

export function Answer({ bench, answer, heading, siblings, isChosen, isAlone, point, pointed }) {
  const [isEdited, setEdited] = useState(false);
  const isRunning = bench.isRunning(answer);
  const edit = () => setEdited(true);
  const end = () => setEdited(false);
  return html`
    <article
      class=${["card answer", !isAlone && isChosen && "chosen"].filter(Boolean).join(" ")}
      aria-label=${heading || undefined}
    >
      ${heading && html`<h3 class="answer-heading">${heading}</h3>`}
      ${
        isEdited
          ? html`<${EditedAnswer} bench=${bench} answer=${answer} end=${end} />`
          : html`<${Body} bench=${bench} answer=${answer} isRunning=${isRunning} point=${point} pointed=${pointed} />`
      }
      <${Measures} answer=${answer} siblings=${siblings} isRunning=${isRunning} />
      <${Verdict} answer=${answer} isRunning=${isRunning} />
      ${
        !isRunning &&
        !isEdited &&
        html`<${Actions} bench=${bench} answer=${answer} isAlone=${isAlone} isChosen=${isChosen} edit=${edit} />`
      }
    </article>
  `;
}

function Body({ bench, answer, isRunning, point, pointed }) {
  const { colour } = bench.conversation.settings;
  const isColoured = colour && answer.tokens?.length > 0;
  const text = textOf(answer.content);
  return html`
    <div class="answer-body" aria-busy=${isRunning}>
      ${
        answer.thinking &&
        html`<details class="thinking" open=${isRunning && !text}>
          <summary>${isRunning && !text ? "Thinking…" : "Thinking"}</summary>
          ${!isColoured && html`<div class="said muted">${answer.thinking}</div>`}
          ${isColoured && html`<${Coloured} answer=${answer} part="thinking" point=${point} pointed=${pointed} />`}
        </details>`
      }
      ${
        isColoured
          ? html`<${Coloured} answer=${answer} part="content" point=${point} pointed=${pointed} />`
          : isDocument(answer)
            ? html`<pre class="document">${text}</pre>`
            : text && html`<${Markdown} text=${text} />`
      }
      ${isRunning && !text && !answer.thinking && html`<p class="muted waiting">Waiting for the first token…</p>`}
      ${answer.calls.map((call, place) => html`<${Call} key=${place} call=${call} />`)}
      ${answer.error && html`<p class="problem" role="alert">${answer.error.message}</p>`}
    </div>
  `;
}

function isDocument({ asked }) {
  return ["json_object", "json_schema"].includes(asked.fields.response_format?.type);
}

function Call({ call }) {
  return html`
    <div class="call">
      <span class="call-name">${call.name}</span>
      <pre>${indented(call.arguments)}</pre>
    </div>
  `;
}

/** Return JSON text with line breaks, or a text that is no JSON as it is. */
export function indented(text) {
  try {
    return JSON.stringify(JSON.parse(text), null, 2);
  } catch {
    return text;
  }
}

function EditedAnswer({ bench, answer, end }) {
  const refusal = refusalOfPrefix(answer.asked);
  const save = (text) => {
    end();
    bench.rewrite(answer, text);
  };
  const proceed = (text) => {
    end();
    bench.continueFrom(answer, text);
  };
  const actions = refusal
    ? [["Save as a branch", save]]
    : [
        ["Save and continue", proceed, "The answer continues after this text"],
        ["Save as a branch", save],
      ];
  return html`<${Editor} label="Answer" text=${textOf(answer.content)} actions=${actions} cancel=${end} />`;
}

/** The check of a document against the schema of its request, also while the document is written. */
function Verdict({ answer, isRunning }) {
  const format = answer.asked.fields.response_format;
  const check = useMemo(() => checkOf(format), [format]);
  if (!check || answer.error || (!isRunning && answer.calls.length > 0)) return null;
  const { state, message } = check.check(textOf(answer.content), !isRunning);
  const marks = { valid: "✓", invalid: "✗", "cut off": "✗" };
  return html`<p class="verdict ${state.replaceAll(" ", "-")}">
    <span aria-hidden="true">${marks[state] ?? "…"}</span> ${message}
  </p>`;
}

function checkOf(format) {
  if (!isDocument({ asked: { fields: { response_format: format } } })) return null;
  try {
    return new SchemaCheck(format.json_schema?.schema ?? null);
  } catch (error) {
    return { check: () => ({ state: "unknown", message: `Not checked: ${error.message}` }) };
  }
}

function Actions({ bench, answer, isAlone, isChosen, edit }) {
  const text = textOf(answer.content);
  const canContinue = !refusalOfPrefix(answer.asked) && answer.calls.length === 0 && text && answer.finish !== "stop";
  const proceed = () => bench.continueFrom(answer, text, begunBy(answer));
  return html`
    <div class="actions">
      ${
        !isAlone &&
        (isChosen
          ? html`<span class="muted" title="The next message follows this answer">✓ chosen</span>`
          : html`<${Action} title="The next message follows this answer" act=${() => bench.choose(answer)}>Choose<//>`)
      }
      ${canContinue && html`<${Action} disabled=${Boolean(bench.round)} act=${proceed}>Continue<//>`}
      ${answer.calls.length === 0 && html`<${Action} act=${edit}>Edit<//>`}
      ${answer.children.length > 0 && html`<${Action} act=${() => bench.branchAfter(answer)}>Branch<//>`}
      <${CopyButton} text=${text || JSON.stringify(answer.calls, null, 2)}>Copy<//>
      <${Action} title="Show the request of this answer as code" act=${() => bench.showCode(answer)}>Code<//>
      <${Action} act=${() => bench.removeTurn(answer)}>Delete<//>
    </div>
  `;
}

/** Return the tokens of a whole answer as the beginning of another one; null if they are not known. */
function begunBy({ tokens, given }) {
  return tokens ? { tokens, given } : null;
}
