// The table of models.

import { count, percent, rate, size } from "../lib/format.js";
import { html } from "../lib/ui.js";

const TONES = { ready: "good", loading: "busy", starting: "busy", restarting: "busy", stopped: "bad" };

/** Models and fine-tuned models, with what they do. */
export function Models({ status }) {
  return html`
    <section>
      <h2 id="models-title">Models</h2>
      <div class="scroll" tabindex="0" role="region" aria-labelledby="models-title">
        <table class="models">
          <thead>
            <tr>
              <th scope="col">Name</th>
              <th scope="col">State</th>
              <th scope="col" class="number">Context</th>
              <th scope="col">Can</th>
              <th scope="col" class="number">Running</th>
              <th scope="col" class="number">Tokens/s</th>
              <th scope="col" class="number">KV cells</th>
              <th scope="col">Memory</th>
              <th scope="col"><span class="hidden">Actions</span></th>
            </tr>
          </thead>
          <tbody>
            ${status.models.map((model) => html`<${Model} key=${model.id} model=${model} machine=${status.machine} />`)}
            ${status.fine_tuned.map(
              (model) => html`<${FineTuned} key=${model.id} model=${model} models=${status.models} />`,
            )}
          </tbody>
        </table>
      </div>
      <p class="muted">
        ${count(status.machine.cores)} cores, ${size(status.machine.memory_available)} of
        ${" "}${size(status.machine.memory)} memory available
      </p>
    </section>
  `;
}

function Model({ model, machine }) {
  const { cache } = model;
  return html`
    <tr>
      <td>
        <span class="mono">${model.id}</span>${model.is_default && html` <span class="tag">default</span>`}
        ${model.aliases.length > 0 && html`<div class="muted small-text">also ${model.aliases.join(", ")}</div>`}
        ${model.error && html`<div class="problem">${model.error}</div>`}
      </td>
      <td>
        <${State} state=${model.state} />
        ${model.device && html`<div class="muted small-text">${model.device}</div>`}
      </td>
      <td class="number">${count(model.context)}</td>
      <td>${model.abilities.join(", ")}</td>
      <td class="number">
        ${model.places === null ? "–" : `${model.running} / ${model.places}`}
        ${model.waiting > 0 && html`<div class="small-text">${count(model.waiting)} waiting</div>`}
      </td>
      <td class="number">${rate(model.tokens_per_second)}</td>
      <td class="number">${cache ? percent(cache.used, cache.cells) : "–"}</td>
      <td><${Memory} model=${model} machine=${machine} /></td>
      <td><${TryLink} model=${model.id} kind=${model.kind} /></td>
    </tr>
  `;
}

function FineTuned({ model, models }) {
  const base = models.find(({ id }) => id === model.base);
  return html`
    <tr>
      <td>
        <span class="mono">${model.id}</span>
        <div class="muted small-text">made from ${model.base}</div>
      </td>
      <td><${State} state=${stateOf(model, base)} /></td>
      <td class="number">${count(base?.context)}</td>
      <td>${base ? base.abilities.filter((ability) => ability !== "fine-tuning").join(", ") : ""}</td>
      <td class="number">–</td>
      <td class="number">–</td>
      <td class="number">–</td>
      <td>–</td>
      <td>${base && !model.archived && html`<${TryLink} model=${model.id} beside=${model.base} />`}</td>
    </tr>
  `;
}

function stateOf({ archived, is_loaded: isLoaded }, base) {
  if (archived) return "archived";
  if (!base) return "without its base";
  return isLoaded ? "ready" : "unloaded";
}

function State({ state }) {
  return html`<span class="state ${TONES[state] ?? ""}">${state}</span>`;
}

function Memory({ model, machine }) {
  if (model.memory === null) return "–";
  const isEstimate = model.device === null;
  return html`
    <span class="memory">
      ${!isEstimate &&
      html`
        <svg class="bar-of" viewBox="0 0 72 7" aria-hidden="true">
          <rect class="whole" width="72" height="7" rx="3.5" />
          <rect class="part" width=${Math.max(7, (72 * model.memory) / machine.memory)} height="7" rx="3.5" />
        </svg>
      `}
      <span class="nowrap">${isEstimate ? "about " : ""}${size(model.memory)}</span>
    </span>
  `;
}

/** Link into the playground with a model, and another one at its side. */
export function TryLink({ model, beside, kind, look = "nowrap" }) {
  const fields = new URLSearchParams({
    model,
    ...(beside && { beside }),
    ...(kind === "embed" && { kind: "embeddings" }),
    ...(kind === "fim" && { kind: "fim" }),
  });
  const text = beside ? "Try beside its base" : "Try";
  return html`<a class=${look} href="/playground#${fields}" aria-label="${text}: ${model}">${text}</a>`;
}
