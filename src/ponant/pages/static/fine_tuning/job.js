// One job: its state, curves, events and result.

import { call, getJson } from "../lib/api.js";
import { ConfirmButton } from "../lib/confirm.js";
import { count, counted, moment } from "../lib/format.js";
import { usePolled } from "../lib/polling.js";
import { Failure, html, useState } from "../lib/ui.js";
import { hasEnded, JobCurve, JobState, nameOf, progressOf } from "../status/jobs.js";
import { TryLink } from "../status/models.js";

const STARTABLE = ["QUEUED", "VALIDATED"];

/** Return the address of a job. Its id may come from the page's address, so it may be any text. */
function addressOf(id) {
  return `/v1/fine_tuning/jobs/${encodeURIComponent(id)}`;
}

/** Job with an id, which is followed until it ends. `changed`: called after a change of it. */
export function Job({ id, changed }) {
  const [failure, setFailure] = useState(null);
  const read = (signal) => getJson(addressOf(id), { signal });
  const { data: job, error, again } = usePolled(read, { every: 2000, until: hasEnded, inputs: [id] });
  const ask = async (action) => {
    setFailure(null);
    try {
      await call("POST", `${addressOf(id)}/${action}`);
    } catch (refusal) {
      setFailure(refusal);
    }
    again();
    changed();
  };
  if (!job) return html`<${Failure} error=${error} retry=${again} /><div class="curve-room"></div>`;
  const progress = job.events.find((event) => event.name === "progress")?.data;
  const problem = job.events.find((event) => event.data.error)?.data.error;
  const mayStart = STARTABLE.includes(job.status) && !job.auto_start;
  return html`
    <section>
      <div class="row job-head">
        <h2 id="job-title" class="job-title">${nameOf(job)}</h2>
        <${JobState} status=${job.status} />
        <span class="muted number">${progressOf({ ...job, progress })}</span>
      </div>
      <${Failure} error=${failure ?? error} />
      ${problem && html`<div class="notice bad"><span class="reason">${problem}</span></div>`}
      <${JobCurve} job=${job} key=${id} />
      <div class="row job-buttons">
        ${mayStart && html`<button type="button" class="primary" onClick=${() => ask("start")}>Start</button>`}
        ${!hasEnded(job) &&
        job.status !== "CANCELLATION_REQUESTED" &&
        html`<${ConfirmButton} kind="" question="Really cancel" action=${() => ask("cancel")}>Cancel<//>`}
        ${job.fine_tuned_model &&
        html`<${TryLink} model=${job.fine_tuned_model} beside=${job.model} look="button primary" />`}
      </div>
      <${Facts} job=${job} />
      <${Events} events=${job.events} />
    </section>
  `;
}

function Facts({ job }) {
  const { hyperparameters } = job;
  const facts = {
    Model: job.model,
    Result: job.fine_tuned_model,
    Epochs: hyperparameters.epochs && Number(hyperparameters.epochs.toFixed(2)),
    Steps: hyperparameters.training_steps && count(hyperparameters.training_steps),
    "Learning rate": hyperparameters.learning_rate,
    "Sequence length": hyperparameters.seq_len && count(hyperparameters.seq_len),
    "Tokens of the data": job.metadata?.data_tokens && count(job.metadata.data_tokens),
    "Trained tokens": job.trained_tokens && count(job.trained_tokens),
  };
  return html`
    <dl class="facts">
      ${Object.entries(facts)
        .filter(([, value]) => value !== null && value !== undefined)
        .map(([name, value]) => html`<div key=${name}><dt>${name}</dt><dd class="job-title">${value}</dd></div>`)}
    </dl>
  `;
}

function Events({ events }) {
  const shown = events.filter((event) => event.name !== "progress");
  return html`
    <details>
      <summary class="muted">${shown.length} events</summary>
      <div class="scroll" tabindex="0" role="region" aria-label="Events of the job">
        <table class="events">
          <thead><tr><th scope="col">Time</th><th scope="col">Event</th></tr></thead>
          <tbody>
            ${shown.map(
              (event) => html`
                <tr><td class="nowrap">${moment(event.created_at)}</td><td>${textOf(event)}</td></tr>
              `,
            )}
          </tbody>
        </table>
      </div>
    </details>
  `;
}

function textOf({ name, data }) {
  if (name === "status-updated") return data.status.toLowerCase().replaceAll("_", " ");
  if (name === "resumed") return `resumed after step ${data.step}`;
  if (name === "lines-skipped") {
    const skipped = data.files.reduce((sum, file) => sum + file.skipped, 0);
    return `${counted(skipped, "line")} skipped`;
  }
  return name;
}
