// The parts that all pages share: rendering, the frame with its navigation, the key's dialog, and small components.

import { html, render, useEffect, useRef, useState } from "/pages/vendor/htm-preact.js";
import { facts, getKey, mayCall, onKey, onRefusedKey, setKey } from "./api.js";
import { ofBrowser } from "./storage.js";

export * from "/pages/vendor/htm-preact.js";

const PAGES = [
  ["/", "Status"],
  ["/playground", "Playground"],
  ["/fine-tuning", "Fine-tuning"],
  ["/docs", "Reference"],
];
const THEMES = { auto: "System", light: "Light", dark: "Dark" };

/** Render a component as the page. */
export function mount(component) {
  render(html`<${component} />`, document.getElementById("page"));
}

/**
 * Frame of a page: navigation, key, theme and content.
 *
 * `page`: path of the page.
 * `status`: short text on the right of the navigation, or nothing.
 * `wide`: true for content that has the whole width and arranges itself.
 */
export function Shell({ page, status, wide = false, children }) {
  const content = wide ? children : html`<main id="content" class="content">${children}</main>`;
  return html`
    <a class="skip" href="#content" onClick=${skip}>Skip to the content</a>
    <header class="bar">
      <a class="brand" href="/">Ponant</a>
      <nav aria-label="Pages">
        ${PAGES.map(
          ([path, name]) =>
            html`<a href=${path} aria-current=${path === page ? "page" : undefined}>${name}</a>`,
        )}
      </nav>
      <span class="bar-status" role="status">${status}</span>
      <${KeyButton} />
      <${ThemeButton} />
    </header>
    ${content}
  `;
}

/** Move the focus to the content. The address stays, as its fragment may name something. */
function skip(event) {
  event.preventDefault();
  const content = document.getElementById("content");
  content.tabIndex = -1;
  content.focus();
}

/** Return the key, and render again when it changes. */
export function useKey() {
  const [key, changed] = useState(getKey());
  useEffect(() => onKey(() => changed(getKey())), []);
  return key;
}

/** Button that opens the dialog for the key; nothing on a server without keys. */
function KeyButton() {
  const key = useKey();
  const dialog = useRef(null);
  const [refused, setRefused] = useState(false);
  useEffect(() => onRefusedKey(() => setRefused(true)), []);
  if (!facts.keys && !Object.keys(facts.environments).length) return null;
  const wanted = !mayCall() || refused;
  return html`
    <button type="button" class=${wanted ? "primary" : ""} onClick=${() => dialog.current.showModal()}>
      ${refused ? "Key refused" : key ? "Key ✓" : "Enter key"}
    </button>
    <${KeyDialog} dialog=${dialog} saved=${() => setRefused(false)} />
  `;
}

function KeyDialog({ dialog, saved }) {
  const field = useRef(null);
  const keep = (key) => {
    setKey(key);
    saved();
    field.current.value = "";
    dialog.current.close();
  };
  const submit = (event) => {
    event.preventDefault();
    keep(field.current.value.trim());
  };
  return html`
    <dialog ref=${dialog} class="card dialog" aria-labelledby="key-title">
      <form onSubmit=${submit}>
        <h2 id="key-title">API key</h2>
        <label for="key-field">One of the server's keys</label>
        <input
          id="key-field"
          ref=${field}
          type="password"
          autocomplete="off"
          spellcheck=${false}
          pattern=" *[!-ÿ]+ *"
          title="A key has no spaces and no characters beyond Latin-1."
          required
        />
        <p class="muted">It stays in this tab and is forgotten when the tab is closed.</p>
        <div class="row end">
          <button type="button" onClick=${() => dialog.current.close()}>Cancel</button>
          <button type="button" onClick=${() => keep("")} disabled=${!getKey()}>Forget</button>
          <button type="submit" class="primary">Use this key</button>
        </div>
      </form>
    </dialog>
  `;
}

/** Invitation to enter a key, in place of data that need one. */
export function NeedsKey({ children }) {
  return html`<p class="notice">${children ?? "This server has keys. Enter one to see this page's data."}</p>`;
}

function ThemeButton() {
  const [theme, setTheme] = useState(ofBrowser.getItem("ponant-theme") ?? "auto");
  const choose = () => {
    const names = Object.keys(THEMES);
    const next = names[(names.indexOf(theme) + 1) % names.length];
    if (next === "auto") delete document.documentElement.dataset.theme;
    else document.documentElement.dataset.theme = next;
    ofBrowser.setItem("ponant-theme", next);
    setTheme(next);
    document.dispatchEvent(new Event("ponant-theme"));
  };
  return html`
    <button type="button" class="quiet" onClick=${choose} title="Colours: ${THEMES[theme]}">
      <span aria-hidden="true">◐</span><span class="unseen">Colours: ${THEMES[theme]}</span>
    </button>
  `;
}

/** True if the page is dark at the moment. */
export function isDark() {
  const chosen = document.documentElement.dataset.theme;
  return chosen ? chosen === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
}

/** Call a function after each change between light and dark. Returns the function that ends this. */
export function onTheme(listener) {
  const system = matchMedia("(prefers-color-scheme: dark)");
  document.addEventListener("ponant-theme", listener);
  system.addEventListener("change", listener);
  return () => {
    document.removeEventListener("ponant-theme", listener);
    system.removeEventListener("change", listener);
  };
}

/** Return a colour of the style sheet, such as `--accent`, as `rgb(…)`, for canvases. */
export function colour(name) {
  const probe = document.createElement("span");
  probe.style.color = `var(${name})`;
  document.body.append(probe);
  const found = getComputedStyle(probe).color;
  probe.remove();
  return found;
}

/** Message of an error, with an optional button that tries again. */
export function Failure({ error, retry }) {
  if (!error) return null;
  return html`
    <div class="notice bad" role="alert">
      <span>${error.message}</span>
      ${retry && html`<button type="button" onClick=${retry}>Try again</button>`}
    </div>
  `;
}

/** Button that copies a text. */
export function CopyButton({ text, children = "Copy" }) {
  const [result, setResult] = useState("");
  const copy = async () => {
    const isCopied = await copyText(typeof text === "function" ? text() : text);
    setResult(isCopied ? "Copied" : "Copying refused");
    setTimeout(() => setResult(""), 1500);
  };
  return html`<button type="button" class="small" onClick=${copy}>${result || children}</button>`;
}

/**
 * Copy a text, also where browsers have no clipboard, as on pages of other machines without TLS, or refuse it.
 *
 * @returns {Promise<boolean>} false if the browser refuses to copy
 */
export async function copyText(text) {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    return copySelected(text);
  }
}

/** Copy a text by selecting it. */
function copySelected(text) {
  const active = document.activeElement;
  const field = document.createElement("textarea");
  field.value = text;
  (active?.closest("dialog") ?? document.body).append(field);
  field.select();
  const isCopied = document.execCommand("copy");
  field.remove();
  active?.focus();
  return isCopied;
}
