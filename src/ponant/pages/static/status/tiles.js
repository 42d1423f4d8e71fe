// The numbers at the top: sums over all models.

import { count, percent, rate } from "../lib/format.js";
import { html, useEffect, useState } from "../lib/ui.js";

const KEPT = 60;

/** Tiles with the load at present. */
export function Tiles({ status }) {
  const total = (pick) => status.models.reduce((sum, model) => sum + (pick(model) ?? 0), 0);
  const rates = status.models.map((model) => model.tokens_per_second).filter((number) => number !== null);
  const now = rates.length ? rates.reduce((sum, number) => sum + number, 0) : null;
  const [cells, used, kept] = ["cells", "used", "kept"].map((name) => total((model) => model.cache?.[name]));
  const all = [...status.models, ...status.fine_tuned];
  const [running, places, waiting] = ["running", "places", "waiting"].map((name) => total((model) => model[name]));
  const [prompt, cached] = ["prompt_tokens", "cached_tokens"].map((name) =>
    all.reduce((sum, model) => sum + model.totals[name], 0),
  );
  return html`
    <dl class="tiles">
      <${Tile} name="Running / places" value="${count(running)} / ${count(places)}" />
      <${Tile} name="Waiting" value=${count(waiting)} />
      <${Tile} name="Tokens/s now" value=${rate(now)}><${Sparkline} value=${now} moment=${status.now} /><//>
      <${Tile} name="KV cells in use" value=${percent(used, cells)} note=${cells ? keptNote(kept, cells) : ""} />
      <${Tile} name="Prompt tokens from the cache" value=${percent(cached, prompt)} note="since the start" />
    </dl>
  `;
}

function keptNote(kept, cells) {
  return `and ${percent(kept, cells)} kept for reuse`;
}

function Tile({ name, value, note, children }) {
  return html`
    <div class="card tile">
      <dt>${name}</dt>
      <dd>
        <span class="tile-value">${value}</span>
        ${note && html`<span class="tile-note">${note}</span>`}
        ${children}
      </dd>
    </div>
  `;
}

/** Curve of the last minute, from the values that the page has seen. */
function Sparkline({ value, moment }) {
  const [values, setValues] = useState([]);
  useEffect(() => setValues((seen) => [...seen, value ?? 0].slice(-KEPT)), [moment]);
  const most = Math.max(...values, 1);
  const points = values.map((each, index) => `${KEPT - values.length + index},${20 - (18 * each) / most}`).join(" ");
  return html`
    <svg class="sparkline" viewBox="0 0 ${KEPT - 1} 21" preserveAspectRatio="none" aria-hidden="true">
      <polyline points=${points} />
    </svg>
  `;
}
