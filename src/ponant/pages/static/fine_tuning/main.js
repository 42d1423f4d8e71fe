// The page `/fine-tuning`.

import { facts, getJson, mayCall } from "../lib/api.js";
import { moment } from "../lib/format.js";
import { usePolled } from "../lib/polling.js";
import { Failure, html, mount, NeedsKey, Shell, useEffect, useKey, useState } from "../lib/ui.js";
import { JobState, nameOf, stepsOf } from "../status/jobs.js";
import { Job } from "./job.js";
import { NewJob } from "./form.js";

const EXAMPLE = `{"messages": [{"role": "user", "content": "Ahoy!"},
              {"role": "assistant", "content": "Aye, what can I do for ye?"}]}`;

function Page() {
  const key = useKey();
  const [id, select] = useSelected();
  const read = (signal) => getJson("/v1/status", { signal });
  const { data: status, error, again } = usePolled(read, { every: 2000 });
  const shown = id ?? status?.jobs?.[0]?.id;
  return html`
    <${Shell} page="/fine-tuning" status=${facts.version}>
      <h1>Fine-tuning</h1>
      ${facts.keys && !key && html`<${NeedsKey}>This server has keys. Enter one to train models.<//>`}
      ${mayCall() && html`<${Failure} error=${error} retry=${again} />`}
      ${status &&
      html`
        <div class="work">
          <div><${Left} status=${status} select=${select} changed=${again} /></div>
          <div>
            ${shown && html`<${Job} id=${shown} key=${shown} changed=${again} />`}
            ${status.jobs === null && html`<p class="notice">The storage cannot be read at the moment.</p>`}
            ${status.jobs?.length === 0 && !shown && html`<${Empty} />`}
            ${status.jobs?.length > 0 && html`<${Jobs} jobs=${status.jobs} shown=${shown} select=${select} />`}
          </div>
        </div>
      `}
    <//>
  `;
}

function Left({ status, select, changed }) {
  const models = status.models.filter((model) => model.abilities.includes("fine-tuning"));
  if (!models.length) {
    return html`
      <p class="notice">
        No model of this server can be trained. It needs the packages of the extra finetune, and a model of a supported
        architecture with its weights on this machine.
      </p>
    `;
  }
  const created = (job) => {
    select(job.id);
    changed();
  };
  return html`<${NewJob} models=${models} created=${created} />`;
}

function Empty() {
  return html`
    <h2>Jobs</h2>
    <p class="muted">
      None yet. A dataset is a JSON Lines file with a conversation on each line, whose answers the model learns:
    </p>
    <pre tabindex="0" role="region" aria-label="Example of a line"><code>${EXAMPLE}</code></pre>
    <p class="muted">
      Check the files first: the dry run shows what is wrong with which line, and how long the training takes.
    </p>
  `;
}

function Jobs({ jobs, shown, select }) {
  return html`
    <section>
      <h2 id="jobs-title">Jobs</h2>
      <div class="scroll tall" tabindex="0" role="region" aria-labelledby="jobs-title">
        <table>
          <thead>
            <tr>
              <th scope="col">Job</th>
              <th scope="col">Model</th>
              <th scope="col">Status</th>
              <th scope="col">Steps</th>
              <th scope="col">Created</th>
            </tr>
          </thead>
          <tbody>
            ${jobs.map(
              (job) => html`
                <tr key=${job.id}>
                  <td>
                    <a
                      href="#job=${job.id}"
                      aria-current=${job.id === shown ? "true" : undefined}
                      onClick=${() => select(job.id)}
                    >${nameOf(job)}</a>
                  </td>
                  <td class="mono">${job.model}</td>
                  <td><${JobState} status=${job.status} /></td>
                  <td class="number-left nowrap">${stepsOf(job)}</td>
                  <td class="nowrap">${moment(job.created_at)}</td>
                </tr>
              `,
            )}
          </tbody>
        </table>
      </div>
    </section>
  `;
}

/** Return the id of the job in the address's fragment, or null, and the function that selects another one. */
function useSelected() {
  const [id, setId] = useState(idInAddress());
  useEffect(() => {
    const follow = () => setId(idInAddress());
    addEventListener("hashchange", follow);
    return () => removeEventListener("hashchange", follow);
  }, []);
  const select = (chosen) => {
    history.replaceState(null, "", `#job=${chosen}`);
    setId(chosen);
  };
  return [id, select];
}

function idInAddress() {
  const id = new URLSearchParams(location.hash.slice(1)).get("job");
  return [".", ".."].includes(id) ? null : id;
}

mount(Page);
