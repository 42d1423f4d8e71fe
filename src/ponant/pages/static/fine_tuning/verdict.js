// The verdict of a dry run: numbers of each file, and each line with what is wrong with it.

import { count, percent, seconds } from "../lib/format.js";
import { html, useEffect, useRef, useState } from "../lib/ui.js";
import { beginningOf } from "../status/signed.js";

const BYTES = 2 ** 18;
const MOST_LINES = 300;

/** Verdict on the files of a job. `datasets`: descriptions of files. */
export function Verdict({ verdict, datasets }) {
  const { plan } = verdict;
  const box = useRef(null);
  useEffect(() => box.current.scrollIntoView({ block: "nearest" }), [verdict]);
  return html`
    <div class="verdict" role="status" ref=${box}>
      <h3>Dry run</h3>
      <div class="notice ${verdict.accepted ? "good" : "bad"}">
        <span class="reason">${verdict.accepted ? summaryOf(verdict) : refusalOf(verdict)}</span>
      </div>
      ${plan &&
      html`
        <dl class="facts">
          <${Fact} name="Steps" value=${count(plan.steps)} />
          <${Fact} name="Epochs" value=${Number(plan.epochs.toFixed(2))} />
          <${Fact} name="Tokens of training, at most" value=${count(plan.train_tokens)} />
          ${plan.expected_duration_seconds !== null &&
          html`<${Fact} name="Duration, about" value=${seconds(plan.expected_duration_seconds)} />`}
        </dl>
      `}
      ${verdict.files.map(
        (file) => html`<${FileVerdict} file=${file} dataset=${datasets.find(({ id }) => id === file.file_id)} />`,
      )}
    </div>
  `;
}

function summaryOf({ files }) {
  const invalid = files.reduce((sum, file) => sum + (file.invalid ?? 0), 0);
  const kept = "A job with these files can be trained.";
  return invalid ? `${kept} ${count(invalid)} invalid ${invalid === 1 ? "line is" : "lines are"} skipped.` : kept;
}

/** Return the reason of a refusal without its list of lines, which stands in the table. */
function refusalOf({ message }) {
  return message.split("\n")[0].replace(/:$/, ".");
}

function Fact({ name, value }) {
  return html`<div><dt>${name}</dt><dd>${value}</dd></div>`;
}

function FileVerdict({ file, dataset }) {
  const name = dataset?.filename ?? file.file_id;
  return html`
    <h4>${name} <span class="muted">(${file.kind})</span></h4>
    ${file.lines === null
      ? html`<p class="muted">Not checked: the check ended before this file.</p>`
      : html`
          <dl class="facts">
            <${Fact} name="Valid lines" value="${count(file.lines - file.invalid)} of ${count(file.lines)}" />
            <${Fact} name="Samples" value=${count(file.samples)} />
            <${Fact} name="Tokens" value=${count(file.tokens)} />
            <${Fact} name="Learned" value=${percent(file.learned_tokens, file.tokens)} />
            ${file.cut > 0 && html`<${Fact} name="Cut at the sequence length" value=${count(file.cut)} />`}
            ${file.fim > 0 && html`<${Fact} name="Fill-in-the-middle" value=${count(file.fim)} />`}
          </dl>
          <${Lines} file=${file} dataset=${dataset} name=${name} />
        `}
  `;
}

/** Table of the lines, or of the invalid ones alone. */
function Lines({ file, dataset, name }) {
  const [texts, setTexts] = useState([]);
  const [onlyBad, setOnlyBad] = useState(file.invalid > 0);
  useEffect(() => {
    const ending = new AbortController();
    if (dataset) readLines(dataset, ending.signal).then(setTexts, () => {});
    return () => ending.abort();
  }, [dataset?.id]);
  const rows = rowsOf(file, texts).filter((row) => row.reason || !onlyBad);
  const unlisted = file.invalid - file.bad_lines.length;
  return html`
    ${file.invalid > 0 &&
    html`
      <label class="check only">
        <input type="checkbox" checked=${onlyBad} onChange=${() => setOnlyBad(!onlyBad)} /> Only invalid lines
      </label>
    `}
    <div class="lines scroll" tabindex="0" role="region" aria-label="Lines of ${name}">
      <table>
        <thead><tr><th scope="col" class="number">Line</th><th scope="col">Verdict</th></tr></thead>
        <tbody>
          ${rows.map(
            ({ line, reason, text }) => html`
              <tr key=${line}>
                <td class="number">${line}</td>
                <td>
                  <span class=${reason ? "problem" : "good"}>${reason ? `✗ ${reason}` : "✓ valid"}</span>
                  ${text && html`<code class="excerpt">${text}</code>`}
                </td>
              </tr>
            `,
          )}
        </tbody>
      </table>
    </div>
    <p class="hint">
      ${unlisted > 0 ? `${count(unlisted)} further invalid lines are not listed. ` : ""}
      ${!onlyBad && file.lines > rows.length ? `The table has the beginning of the file.` : ""}
    </p>
  `;
}

/** Return the first lines that are not blank, and all invalid ones, in their order. */
function rowsOf(file, texts) {
  const reasons = new Map(file.bad_lines.map(({ line, reason }) => [line, reason]));
  const listed = texts.map(([line, text]) => ({ line, text, reason: reasons.get(line) }));
  const last = listed.at(-1)?.line ?? 0;
  // Without a reason, a line after the last one that is listed by the server may be invalid as well.
  const lastKnown = file.invalid > file.bad_lines.length ? file.bad_lines.at(-1).line : Infinity;
  const further = file.bad_lines.filter(({ line }) => line > last);
  return [...listed.filter(({ line }) => line <= lastKnown), ...further];
}

async function readLines(dataset, signal) {
  const text = await beginningOf(dataset, BYTES, signal);
  const lines = text.split("\n").map((line, index) => [index + 1, line.trim()]);
  if (dataset.bytes > BYTES) lines.pop(); // it may be cut
  return lines.filter(([, line]) => line).slice(0, MOST_LINES);
}
