// This request as code, and as a link.

import { CopyButton, html, useEffect, useState } from "../../lib/ui.js";
import { linkTo } from "../fragment.js";
import { Panel } from "./panel.js";

const WAIT = 250;

export function Code({ bench }) {
  const shown = bench.shownRequest();
  return html`
    <${Panel} title="This request as code" open>
      ${shown
        ? html`
            <p class="hint muted">${shown.label}</p>
            <${Samples} request=${shown.request} />
            <div class="row"><${CopyButton} text=${() => linkTo(shown.request)}>Copy a link to the request<//></div>
          `
        : html`<p class="muted hint">Write a message, and its request is shown here in seven forms.</p>`}
    <//>
  `;
}

function Samples({ request }) {
  const [form, setForm] = useState("shell");
  const { samples, error } = useSamples(request);
  const sample = samples.find((one) => one.form === form) ?? samples[0];
  const press = (event) => {
    const by = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
    if (!by) return;
    const place = (samples.indexOf(sample) + by + samples.length) % samples.length;
    setForm(samples[place].form);
    event.currentTarget.children[place].focus();
  };
  if (error) return html`<p class="problem">${error}</p>`;
  if (!sample) return null;
  return html`
    <div class="tabs" role="tablist" aria-label="Languages" onKeyDown=${press}>
      ${samples.map(
        (one) => html`
          <button
            key=${one.form}
            type="button"
            role="tab"
            class="small"
            aria-selected=${one === sample}
            aria-controls="sample"
            tabindex=${one === sample ? 0 : -1}
            onClick=${() => setForm(one.form)}
          >
            ${one.label}
          </button>
        `,
      )}
    </div>
    <div id="sample" role="tabpanel" aria-label=${sample.label} class="sample">
      <pre tabindex="0">${sample.source}</pre>
      <${CopyButton} text=${sample.source} />
    </div>
  `;
}

/** Return the samples of a request, a while after its last change. */
function useSamples({ path, body }) {
  const [found, setFound] = useState({ samples: [], error: "" });
  const written = JSON.stringify({ method: "POST", path, body, address: location.origin });
  useEffect(() => {
    const controller = new AbortController();
    const show = async () => {
      const answer = await ask(written, controller.signal);
      if (answer) setFound(answer);
    };
    const timer = setTimeout(show, found.samples.length ? WAIT : 0);
    return () => {
      clearTimeout(timer);
      controller.abort();
    };
  }, [written]);
  return found;
}

async function ask(written, signal) {
  try {
    const options = { method: "POST", headers: { "content-type": "application/json" }, body: written, signal };
    const response = await fetch("/pages/code", options);
    const answer = await response.json();
    return response.ok ? { samples: answer.samples, error: "" } : { samples: [], error: answer.message ?? "No samples can be written." };
  } catch (error) {
    return error.name === "AbortError" ? null : { samples: [], error: "The server does not answer." };
  }
}
