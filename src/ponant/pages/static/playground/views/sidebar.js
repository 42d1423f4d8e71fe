// The list of conversations, with the buttons to begin, export and import them.

import { html, useRef, useState } from "../../lib/ui.js";
import { readArchive, writeArchive } from "../archive.js";

const KINDS = [
  ["chat", "Chat"],
  ["fim", "Fill in the middle"],
  ["embeddings", "Embeddings"],
];

export function Sidebar({ bench, isShown, close }) {
  const { conversation, conversations } = bench;
  const begin = (kind) => {
    bench.create(kind);
    close();
  };
  return html`
    <aside class=${isShown ? "sidebar shown" : "sidebar"} aria-label="Conversations">
      <h2 class="caption">New</h2>
      <ul class="plain">
        ${KINDS.map(
          ([kind, label]) =>
            html`<li key=${kind}>
              <button type="button" class="item" onClick=${() => begin(kind)}>
                <span aria-hidden="true">+</span>${label}
              </button>
            </li>`,
        )}
      </ul>
      <h2 class="caption">In this browser</h2>
      ${conversations.length === 0 && html`<p class="muted hint">Conversations are kept in this browser alone.</p>`}
      <ul class="plain conversations">
        ${conversations.map(
          (one) => html`
            <${Entry} key=${one.id} bench=${bench} entry=${one} isOpen=${one.id === conversation.id} close=${close} />
          `,
        )}
      </ul>
      <${Files} bench=${bench} />
    </aside>
  `;
}

function Entry({ bench, entry, isOpen, close }) {
  const [isRenaming, setRenaming] = useState(false);
  if (isRenaming) return html`<li><${Rename} bench=${bench} entry=${entry} done=${() => setRenaming(false)} /></li>`;
  const open = async () => {
    await bench.open(entry.id);
    close();
  };
  return html`
    <li class="entry">
      <button
        type="button"
        class="item"
        aria-current=${isOpen ? "true" : undefined}
        onClick=${open}
        title=${entry.title}
      >
        <span class="entry-title">${entry.title}</span>
      </button>
      ${
        isOpen &&
        html`<span class="entry-actions">
          <${Icon} name="Rename ${entry.title}" act=${() => setRenaming(true)}>✎<//>
          <${Icon} name="Export ${entry.title}" act=${() => exported(bench)}>⤓<//>
          <${Icon} name="Delete ${entry.title}" act=${() => remove(bench, entry)}>✕<//>
        </span>`
      }
    </li>
  `;
}

function Icon({ name, act, children }) {
  return html`<button type="button" class="quiet small" title=${name} aria-label=${name} onClick=${act}>
    <span aria-hidden="true">${children}</span>
  </button>`;
}

function exported({ conversation }) {
  save("ponant-conversation.json", writeArchive([conversation]));
}

function remove(bench, entry) {
  if (confirm(`Delete “${entry.title}”? It is kept nowhere else.`)) bench.remove(entry.id);
}

function Rename({ bench, entry, done }) {
  const [title, setTitle] = useState(entry.title);
  const submit = (event) => {
    event.preventDefault();
    bench.rename(title.trim());
    done();
  };
  return html`
    <form onSubmit=${submit}>
      <input
        aria-label="Title"
        value=${title}
        ref=${(field) => field && document.activeElement !== field && field.focus()}
        onInput=${(event) => setTitle(event.target.value)}
        onKeyDown=${(event) => event.key === "Escape" && (event.stopPropagation(), done())}
        onBlur=${submit}
      />
    </form>
  `;
}

function Files({ bench }) {
  const field = useRef(null);
  const [message, setMessage] = useState("");
  const exported = async () => {
    save(`ponant-conversations-${new Date().toISOString().slice(0, 10)}.json`, writeArchive(await bench.all()));
  };
  const imported = async (event) => {
    const [file] = event.target.files;
    event.target.value = "";
    if (!file) return;
    try {
      const found = readArchive(await file.text());
      await bench.add(found);
      setMessage(`${found.length} ${found.length === 1 ? "conversation" : "conversations"} imported.`);
    } catch (error) {
      setMessage(error.message);
    }
  };
  return html`
    <div class="files">
      <div class="row">
        <button type="button" class="small" onClick=${exported} disabled=${bench.conversations.length === 0}>
          Export all
        </button>
        <button type="button" class="small" onClick=${() => field.current.click()}>Import…</button>
      </div>
      <input
        ref=${field}
        type="file"
        accept="application/json,.json"
        class="hidden"
        tabindex="-1"
        aria-label="File to import"
        onChange=${imported}
      />
      <p class="muted hint" role="status">${message}</p>
    </div>
  `;
}

/** Offer a text as a file. */
function save(name, text) {
  const address = URL.createObjectURL(new Blob([text], { type: "application/json" }));
  const link = document.createElement("a");
  link.href = address;
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(address), 1000);
}
