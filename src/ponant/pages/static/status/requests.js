// The last requests.

import { count, milliseconds, moment } from "../lib/format.js";
import { html } from "../lib/ui.js";

const NAMES = {
  "/v1/chat/completions": "chat",
  "/v1/fim/completions": "fim",
  "/v1/completions": "text",
  "/v1/embeddings": "embeddings",
  "POST /v1/files": "file: upload",
  "DELETE /v1/files/{file_id}": "file: delete",
  "GET /v1/files/{file_id}/content": "file: download",
  "POST /v1/fine_tuning/jobs": "job: create",
  "POST /v1/fine_tuning/jobs/verdict": "job: check files",
  "POST /v1/fine_tuning/jobs/{job_id}/start": "job: start",
  "POST /v1/fine_tuning/jobs/{job_id}/cancel": "job: cancel",
};

/** Table of the last requests, without their texts. */
export function Requests({ requests }) {
  return html`
    <section>
      <h2 id="requests-title">Last requests</h2>
      ${requests.length > 0 && html`<${Table} requests=${requests} />`}
      ${requests.length === 0 && html`<p class="muted">None since the start of the server.</p>`}
    </section>
  `;
}

function Table({ requests }) {
  return html`
    <div class="scroll tall" tabindex="0" role="region" aria-labelledby="requests-title">
      <table class="requests">
        <thead>
          <tr>
            <th scope="col">Time</th>
            <th scope="col">What</th>
            <th scope="col">Status</th>
            <th scope="col" class="number">Tokens</th>
            <th scope="col" class="number">First</th>
            <th scope="col" class="number">All</th>
          </tr>
        </thead>
        <tbody>
          ${requests.map((request) => html`<${Request} key=${request.id} request=${request} />`)}
        </tbody>
      </table>
    </div>
  `;
}

function Request({ request }) {
  const { prompt_tokens: prompt, cached_tokens: cached, completion_tokens: completion } = request;
  const hasLeft = request.status === 499;
  return html`
    <tr>
      <td class="nowrap">${moment(request.created)}</td>
      <td>${what(request)}${request.model && html`<div class="muted small-text mono">${request.model}</div>`}</td>
      <td class=${request.status >= 400 ? "problem" : ""} title=${hasLeft ? "The client disconnected" : ""}>
        ${request.status}
      </td>
      <td class="number nowrap">
        ${prompt === null ? "–" : `${count(prompt)} → ${count(completion)}`}
        ${cached > 0 && html`<div class="muted small-text">${count(cached)} cached</div>`}
      </td>
      <td class="number nowrap">${milliseconds(request.first_token_ms)}</td>
      <td class="number nowrap">${milliseconds(request.ms)}</td>
    </tr>
  `;
}

function what({ method, route, dialect, stream, n, schema, tools }) {
  const flags = [
    NAMES[route] ?? NAMES[`${method} ${route}`] ?? `${method} ${route}`,
    stream && "streamed",
    n > 1 && `n=${n}`,
    schema && "JSON",
    tools > 0 && `${tools} tool${tools === 1 ? "" : "s"}`,
    dialect !== "mistral" && dialect,
  ];
  return flags.filter(Boolean).join(", ");
}
