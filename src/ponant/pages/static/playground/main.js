// The page `/playground`.

import { facts, onKey } from "../lib/api.js";
import { html, mount, NeedsKey, Shell, useEffect, useKey, useReducer, useState } from "../lib/ui.js";
import { readFragment } from "./fragment.js";
import { Embeddings } from "./views/embeddings.js";
import { Fim } from "./views/fim.js";
import { Chat } from "./views/chat.js";
import { Sidebar } from "./views/sidebar.js";
import { Panels } from "./views/panels.js";
import { Workbench } from "./workbench.js";

const KINDS = { chat: Chat, fim: Fim, embeddings: Embeddings };
const bench = new Workbench();

/** Open what the fragment of the address names, and remove it from the address. */
function followFragment() {
  const { hash } = location;
  if (!hash || hash === "#content") return;
  history.replaceState(null, "", location.pathname + location.search);
  try {
    const found = readFragment(hash);
    if (found?.request) bench.openRequest(found.request);
    else if (found) bench.openModels(found);
  } catch (error) {
    bench.error = new Error(`The link has no readable request: ${error.message}. Copy it again.`);
    bench.changed();
  }
}

function Page() {
  const [, redraw] = useReducer((count) => count + 1, 0);
  const key = useKey();
  const [shown, setShown] = useState("");
  useEffect(() => bench.subscribe(redraw), []);
  useEffect(() => onKey(() => bench.readModels()), []);
  const toggle = (part) => setShown(shown === part ? "" : part);
  const close = (event) => event.key === "Escape" && setShown("");
  const View = KINDS[bench.conversation.kind];
  const isLocked = facts.keys && !key;
  return html`
    <${Shell} page="/playground" status=${statusOf(bench)} wide>
      <div class="workbench" onKeyDown=${close}>
        <${Sidebar} bench=${bench} isShown=${shown === "sidebar"} close=${() => setShown("")} />
        <main id="content" class="stage">
          <h1 class="hidden">Playground</h1>
          <div class="switches">
            <button type="button" aria-expanded=${shown === "sidebar"} onClick=${() => toggle("sidebar")}>
              Conversations
            </button>
            <button type="button" aria-expanded=${shown === "panels"} onClick=${() => toggle("panels")}>
              Settings and code
            </button>
          </div>
          ${
            bench.error &&
            html`<div class="notice bad stage-notice" role="alert">
              <span>${bench.error.message}</span>
              <button type="button" onClick=${() => bench.dismiss()}>Dismiss</button>
            </div>`
          }
          <div class="stage-notice">
            ${isLocked && html`<${NeedsKey}>This server has keys. Enter one to use its models.<//>`}
          </div>
          <${View} bench=${bench} key=${bench.conversation.id} />
        </main>
        <${Panels} bench=${bench} isShown=${shown === "panels"} />
      </div>
    <//>
  `;
}

function statusOf({ round, rounds }) {
  if (round) return `${round.running.size} ${round.running.size === 1 ? "answer" : "answers"} running`;
  return rounds.size ? "running in another conversation" : "";
}

mount(Page);
addEventListener("hashchange", followFragment);
document.addEventListener("visibilitychange", () => document.hidden && bench.flush());
await bench.start();
followFragment();
