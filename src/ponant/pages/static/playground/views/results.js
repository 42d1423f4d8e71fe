// The results of tool calls: those that were sent, and the form for the next ones.

import { html, useState } from "../../lib/ui.js";
import { Action } from "./action.js";
import { Area } from "./area.js";
import { Branches } from "./branches.js";

export function Results({ bench, turn, branches }) {
  const [isEdited, setEdited] = useState(false);
  const send = (results) => {
    setEdited(false);
    bench.sendResults(turn.parent, results);
  };
  return html`
    <section class="turn" aria-label="Results of the calls">
      <div class="turn-head">
        <h2 class="turn-name">Results</h2>
        <${Branches} bench=${bench} turn=${turn} branches=${branches} />
        <span class="actions">
          ${!isEdited && html`<${Action} act=${() => setEdited(true)}>Edit<//>`}
          <${Action} act=${() => bench.removeTurn(turn)}>Delete<//>
        </span>
      </div>
      ${
        isEdited
          ? html`<${Fields} bench=${bench} results=${turn.results} send=${send} cancel=${() => setEdited(false)} />`
          : turn.results.map(
              (result) =>
                html`<div class="call" key=${result.id}>
                  <span class="call-name">${result.name}</span>
                  <pre>${result.content}</pre>
                </div>`,
            )
      }
    </section>
  `;
}

/** The form for the results of an answer's calls, in place of the field for a message. */
export function ResultForm({ bench, turn }) {
  const results = turn.calls.map(({ id, name, arguments: given }) => ({ id, name, content: "", given }));
  return html`
    <div class="composer">
      <p class="hint">
        The model calls ${results.length === 1 ? "a tool" : `${results.length} tools`}. Write what
        ${results.length === 1 ? "it returns" : "each returns"}.
      </p>
      <${Fields} bench=${bench} results=${results} send=${(filled) => bench.sendResults(turn.id, filled)} />
    </div>
  `;
}

function Fields({ bench, results, send, cancel }) {
  const [texts, setTexts] = useState(results.map((result) => result.content));
  const submit = (event) => {
    event.preventDefault();
    if (!bench.round) send(results.map(({ id, name }, place) => ({ id, name, content: texts[place] })));
  };
  const press = (event) => {
    if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) submit(event);
  };
  return html`
    <form class="results" onSubmit=${submit}>
      ${results.map(
        ({ id, name, given }, place) => html`
          <label key=${id}>
            <span class="call-name">${name}</span>${given && html` <code class="muted">${given}</code>`}
            <${Area}
              rows="2"
              spellcheck=${false}
              placeholder='{"degrees": 21}'
              value=${texts[place]}
              write=${(text) => setTexts(texts.with(place, text))}
              onKeyDown=${press}
            />
          </label>
        `,
      )}
      <div class="row">
        <button type="submit" class="primary" disabled=${Boolean(bench.round)}>Send results</button>
        ${cancel && html`<button type="button" onClick=${cancel}>Cancel</button>`}
        <span class="hint muted">Ctrl+Enter sends</span>
      </div>
    </form>
  `;
}
