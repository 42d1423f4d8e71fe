// One panel: a heading that opens and closes it, with a short state beside it.

import { html, useState } from "../../lib/ui.js";

/** `state`: what a closed panel says of its settings, or nothing. */
export function Panel({ title, state, open = false, children }) {
  const [isOpen, setOpen] = useState(open);
  return html`
    <details class="panel" open=${isOpen} onToggle=${(event) => setOpen(event.currentTarget.open)}>
      <summary>
        <h2 class="caption">${title}</h2>
        ${state && html`<span class="panel-state">${state}</span>`}
      </summary>
      <div class="panel-body">${isOpen && children}</div>
    </details>
  `;
}

/** A labelled control in one line. */
export function Line({ label, hint, children }) {
  return html`<label class="line" title=${hint}><span class="line-label">${label}</span>${children}</label>`;
}

/** A check box in one line. */
export function Check({ label, hint, checked, change }) {
  return html`<${Line} label=${label} hint=${hint}>
    <input type="checkbox" checked=${checked} onChange=${(event) => change(event.target.checked)} />
  <//>`;
}

/** A number; null if the field is empty. */
export function NumberLine({ label, hint, value, change, ...bounds }) {
  const write = (event) => {
    const { value: text } = event.target;
    if (text === "" && !event.target.validity.badInput) change(null);
    else if (Number.isFinite(Number(text))) change(Number(text));
  };
  return html`<${Line} label=${label} hint=${hint}>
    <input type="number" class="number" value=${value ?? ""} onInput=${write} ...${bounds} />
  <//>`;
}
