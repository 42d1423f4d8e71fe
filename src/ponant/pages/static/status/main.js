// The page `/`: what the server does at present.

import { facts, getJson, mayCall } from "../lib/api.js";
import { usePolled } from "../lib/polling.js";
import { Failure, html, mount, NeedsKey, Shell, useKey } from "../lib/ui.js";
import { Files } from "./files.js";
import { Jobs } from "./jobs.js";
import { Models } from "./models.js";
import { Requests } from "./requests.js";
import { Start } from "./start.js";
import { Tiles } from "./tiles.js";

const STATES = {
  "not ready": "not ready yet: models are loading, or one of them cannot be used",
  stopping: "stopping",
};

function Page() {
  const key = useKey();
  const { data: status, error, again } = usePolled((signal) => getJson("/v1/status", { signal }));
  return html`
    <${Shell} page="/" status=${`${facts.version}${status ? ` · ${error ? "no answer" : status.state}` : ""}`}>
      <h1 class="hidden">Status</h1>
      ${facts.keys && !key && html`<${NeedsKey}>This server has keys. Enter one to see what it does.<//>`}
      ${mayCall() && html`<${Failure} error=${error} retry=${again} />`}
      ${status?.state in STATES && !error && html`<p class="notice">The server is ${STATES[status.state]}.</p>`}
      ${status && html`<${Content} status=${status} />`}
      ${!status && !error && mayCall() && html`<div class="waiting" aria-busy="true"></div>`}
    <//>
  `;
}

function Content({ status }) {
  const first = status.models.find((model) => model.is_default) ?? status.models[0];
  return html`
    <${Tiles} status=${status} />
    <${Models} status=${status} />
    <div class="columns">
      <div>
        <${Jobs} jobs=${status.jobs} />
        <${Files} totals=${status.files} />
      </div>
      <div>
        ${first && html`<${Start} model=${first} />`}
        <${Requests} requests=${status.requests} />
      </div>
    </div>
  `;
}

mount(Page);
