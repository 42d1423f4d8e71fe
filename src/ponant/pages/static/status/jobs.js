// Fine-tuning jobs: the last one with its curves, and a list of the others.

import { getJson } from "../lib/api.js";
import { Curve } from "../lib/curve.js";
import { moment, seconds } from "../lib/format.js";
import { usePolled } from "../lib/polling.js";
import { html } from "../lib/ui.js";
import { TryLink } from "./models.js";

const ENDED = ["SUCCESS", "FAILED", "FAILED_VALIDATION", "CANCELLED"];

/** True if a job changes no more. */
export function hasEnded(job) {
  return ENDED.includes(job.status);
}

/** Section of the jobs. `jobs` is null while the storage cannot be read. */
export function Jobs({ jobs }) {
  return html`
    <section>
      <h2 id="jobs-title">Fine-tuning</h2>
      ${jobs === null && html`<p class="notice">The storage cannot be read at the moment.</p>`}
      ${jobs?.length === 0 &&
      html`<p class="muted">No jobs yet. <a href="/fine-tuning">Train a model</a> on examples of your own.</p>`}
      ${jobs?.length > 0 && html`<${LastJob} job=${jobs.find((job) => job.status === "RUNNING") ?? jobs[0]} />`}
      ${jobs?.length > 1 && html`<${JobList} jobs=${jobs} />`}
    </section>
  `;
}

function LastJob({ job }) {
  return html`
    <div class="card job">
      <div class="row job-head">
        <h3><a href="/fine-tuning#job=${job.id}">${nameOf(job)}</a></h3>
        <${JobState} status=${job.status} />
        <span class="muted number">${progressOf(job)}</span>
      </div>
      <${JobCurve} job=${job} key=${job.id} />
      ${job.fine_tuned_model && html`<${TryLink} model=${job.fine_tuned_model} beside=${job.model} look="button" />`}
    </div>
  `;
}

/** Curves of a job's losses, which follow it while it runs. */
export function JobCurve({ job }) {
  const read = (signal) => getJson(`/v1/fine_tuning/jobs/${job.id}/metrics`, { signal });
  const { data } = usePolled(read, { every: 2000, until: () => hasEnded(job), inputs: [job.id] });
  if (!data) return html`<div class="curve-room"></div>`;
  if (!data.train.length) {
    const reason = hasEnded(job) ? "No step was trained." : "The curves begin with the first step.";
    return html`<p class="muted">${reason}</p>`;
  }
  return html`<${Curve} metrics=${data} name=${nameOf(job)} />`;
}

function JobList({ jobs }) {
  return html`
    <div class="scroll tall" tabindex="0" role="region" aria-label="Jobs">
      <table>
        <thead>
          <tr>
            <th scope="col">Job</th>
            <th scope="col">Status</th>
            <th scope="col">Progress</th>
            <th scope="col">Created</th>
          </tr>
        </thead>
        <tbody>
          ${jobs.map(
            (job) => html`
              <tr key=${job.id}>
                <td><a href="/fine-tuning#job=${job.id}">${nameOf(job)}</a></td>
                <td><${JobState} status=${job.status} /></td>
                <td class="number-left nowrap">${stepsOf(job)}</td>
                <td class="nowrap">${moment(job.created_at)}</td>
              </tr>
            `,
          )}
        </tbody>
      </table>
    </div>
  `;
}

/** Name of a job for people: its suffix, or its model and the beginning of its id. */
export function nameOf(job) {
  return job.suffix || `${job.model} ${job.id.slice(0, 8)}`;
}

/** State of a job as a coloured word. */
export function JobState({ status }) {
  return html`<span class="state ${toneOf(status)}">${status.toLowerCase().replaceAll("_", " ")}</span>`;
}

function toneOf(status) {
  if (status === "SUCCESS") return "good";
  if (status.startsWith("FAILED")) return "bad";
  return ENDED.includes(status) ? "" : "busy";
}

/** Steps of a job so far, such as `21 of 30`. */
export function stepsOf({ progress }) {
  return progress ? `${progress.step} of ${progress.steps}` : "–";
}

/** Progress of a job in words: steps, speed and time left while it runs. */
export function progressOf(job) {
  const { progress } = job;
  if (!progress) return "";
  const parts = [`step ${stepsOf(job)}`];
  if (job.status === "RUNNING") {
    parts.push(`${Math.round(progress.tokens_per_second)} tokens/s`, `${seconds(progress.eta_seconds)} left`);
  }
  return parts.join(" · ");
}
