// This request as code, and as a link.

import { CopyButton, html, useEffect, useState } from "../../lib/ui.js";
import { linkTo } from "../fragment.js";
import { Panel } from "./panel.js";

const WAIT = 250;
const NAMES = { shell: "Shell", python: "Python", javascript: "JavaScript", java: "Java", swift: "Swift" };

export function Code({ bench }) {
  const shown = bench.shownRequest();
  return html`
    <${Panel} title="This request as code" open>
      ${
        shown
          ? html`
              <p class="hint muted">${shown.label}</p>
              <${Samples} request=${shown.request} />
            `
          : html`<p class="muted hint">Write a message, and its request is shown here in five languages.</p>`
      }
    <//>
  `;
}

function Samples({ request }) {
  const [form, setForm] = useState("");
  const { samples, error } = useSamples(request);
  const sample = samples.find((one) => one.form === form) ?? samples[0];
  const languages = [...new Set(samples.map((one) => one.language))];
  const choose = (language) => setForm(samples.find((one) => one.language === language).form);
  return html`
    ${error && html`<p class="problem">${error}</p>`}
    ${
      sample &&
      html`
        <${Languages} languages=${languages} chosen=${sample.language} choose=${choose} />
        <div id="sample" role="tabpanel" aria-label=${NAMES[sample.language]} class="sample">
          <${Forms} samples=${samples} sample=${sample} choose=${setForm} />
          <pre tabindex="0">${sample.source}</pre>
        </div>
      `
    }
    <div class="row">
      ${sample && html`<${CopyButton} text=${sample.source}>Copy the code<//>`}
      <${CopyButton} text=${() => linkTo(request)}>Copy as a link<//>
    </div>
  `;
}

function Languages({ languages, chosen, choose }) {
  const press = (event) => {
    const by = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
    if (!by) return;
    const place = (languages.indexOf(chosen) + by + languages.length) % languages.length;
    choose(languages[place]);
    event.currentTarget.children[place].focus();
  };
  return html`
    <div class="tabs" role="tablist" aria-label="Languages" onKeyDown=${press}>
      ${languages.map(
        (language) => html`
          <button
            key=${language}
            type="button"
            role="tab"
            class="small"
            aria-selected=${language === chosen}
            aria-controls="sample"
            tabindex=${language === chosen ? 0 : -1}
            onClick=${() => choose(language)}
          >
            ${NAMES[language] ?? language}
          </button>
        `,
      )}
    </div>
  `;
}

/** Choose between the libraries of a language. */
function Forms({ samples, sample, choose }) {
  const forms = samples.filter((one) => one.language === sample.language);
  if (forms.length < 2) return null;
  return html`
    <div class="forms">
      ${forms.map(
        (one) =>
          html`<button
            key=${one.form}
            type="button"
            class="link"
            aria-pressed=${one === sample}
            onClick=${() => choose(one.form)}
          >
            ${one.label}
          </button>`,
      )}
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
    return response.ok
      ? { samples: answer.samples, error: "" }
      : { samples: [], error: answer.message ?? "No samples can be written." };
  } catch (error) {
    return error.name === "AbortError" ? null : { samples: [], error: "The server does not answer." };
  }
}
