// A first request to copy, in each language.

import { ApiError } from "../lib/api.js";
import { ofBrowser } from "../lib/storage.js";
import { CopyButton, html, useEffect, useState } from "../lib/ui.js";

const CHOSEN = "ponant-language";
const QUESTION = "What is the capital of Japan?";

/** Section with the code of a first request to a model. */
export function Start({ model }) {
  const [samples, setSamples] = useState(null);
  const [form, setForm] = useState(ofBrowser.getItem(CHOSEN) ?? "shell");
  useEffect(() => {
    const ending = new AbortController();
    readSamples(model, ending.signal).then(setSamples, () => ending.signal.aborted || setSamples([]));
    return () => ending.abort();
  }, [model?.id]);
  if (samples?.length === 0) return null;
  if (!samples) return html`<section><h2>Start</h2><pre class="code code-room"></pre></section>`;
  const shown = samples.find((sample) => sample.form === form) ?? samples[0];
  const choose = (event) => {
    ofBrowser.setItem(CHOSEN, event.target.value);
    setForm(event.target.value);
  };
  return html`
    <section>
      <div class="row section-head">
        <h2 id="start-title">Start</h2>
        <label class="hidden" for="language">Language</label>
        <select id="language" class="language" value=${shown.form} onChange=${choose}>
          ${samples.map((sample) => html`<option value=${sample.form}>${labelOf(sample)}</option>`)}
        </select>
        <${CopyButton} text=${shown.source} />
      </div>
      <pre class="code" tabindex="0" role="region" aria-label="A first request"><code>${shown.source}</code></pre>
    </section>
  `;
}

function labelOf({ language, label }) {
  const names = { shell: "Shell", python: "Python", javascript: "JavaScript", java: "Java", swift: "Swift" };
  return `${names[language] ?? language} (${label})`;
}

/** Return the programs of a first request. They need no key. */
async function readSamples(model, signal) {
  const call =
    model.kind === "embed"
      ? { path: "/v1/embeddings", body: { model: model.id, input: [QUESTION] } }
      : { path: "/v1/chat/completions", body: { model: model.id, messages: [{ role: "user", content: QUESTION }] } };
  const response = await fetch("/pages/code", {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify({ method: "POST", ...call }),
    signal,
  });
  if (!response.ok) throw await ApiError.of(response);
  return (await response.json()).samples;
}
