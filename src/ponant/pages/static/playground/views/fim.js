// Fill in the middle: a code file with a cursor, and the text that the model writes there.

import { html, useEffect, useLayoutEffect, useRef, useState } from "../../lib/ui.js";
import { codeInput } from "../conversation.js";
import { Filling } from "../filling.js";
import { fimBody } from "../request.js";
import { isSendable } from "../settings.js";
import { Measures } from "./measures.js";

const EXAMPLE = "def area(width, height):\n    return  * height\n";
const EXAMPLE_CURSOR = EXAMPLE.indexOf("  *") + 1;
const HINT = "The model writes at the cursor, or in place of the selection. Ctrl+Enter fills.";
const LARGEST = 2 ** 20;

export function Fim({ bench }) {
  const { conversation } = bench;
  conversation.input ??= { text: EXAMPLE, start: EXAMPLE_CURSOR, end: EXAMPLE_CURSOR };
  const { input } = conversation;
  const [filling, setFilling] = useState(null);
  const [, redraw] = useState(0);
  const editor = useRef(null);
  useEffect(() => () => filling?.stop(), [filling]);
  const write = (fields) => {
    conversation.input = { ...conversation.input, ...fields };
    bench.save();
  };
  const isReady = isSendable(conversation.settings);
  const fill = () => {
    if (!isReady) return;
    const next = new Filling(fimBody(conversation.settings, input));
    setFilling(next);
    next.run(() => redraw((count) => count + 1));
  };
  const accept = () => {
    const text = filling.answer.content;
    const end = input.start + text.length;
    write({ text: input.text.slice(0, input.start) + text + input.text.slice(input.end), start: end, end });
    setFilling(null);
  };
  const discard = () => {
    filling.stop();
    setFilling(null);
  };
  return html`
    <div class="fim">
      <${Toolbar}
        isReady=${isReady}
        input=${input}
        write=${write}
        filling=${filling}
        fill=${fill}
        accept=${accept}
        discard=${discard}
      />
      ${
        filling
          ? html`<${Filled} input=${input} filling=${filling} accept=${accept} discard=${discard} />`
          : html`<${Source} area=${editor} input=${input} write=${write} fill=${fill} />`
      }
      <p class="hint muted">${filling ? "Esc discards the filling." : HINT}</p>
    </div>
  `;
}

function Toolbar({ isReady, input, write, filling, fill, accept, discard }) {
  const first = useRef(null);
  const isFilled = Boolean(filling);
  const hasEnded = isFilled && !filling.isRunning;
  useEffect(() => {
    if (isFilled) first.current?.focus();
  }, [isFilled, hasEnded]);
  return html`
    <div class="fim-bar row">
      ${
        !isFilled &&
        html`
          <button type="button" class="primary" disabled=${!isReady} onClick=${fill}>Fill at the cursor</button>
          <${OpenFile} write=${write} />
          <span class="muted number">${placeOf(input)}</span>
        `
      }
      ${
        isFilled &&
        filling.isRunning &&
        html`
          <button key="stop" ref=${first} type="button" class="primary" onClick=${() => filling.stop()}>Stop</button>
        `
      }
      ${
        hasEnded &&
        html`
          <button
            key="accept"
            ref=${first}
            type="button"
            class="primary"
            disabled=${!filling.answer.content}
            onClick=${accept}
          >
            Accept
          </button>
          <button type="button" onClick=${fill}>Again</button>
          <button type="button" onClick=${discard}>Discard</button>
        `
      }
      ${isFilled && html`<${Measures} answer=${filling.answer} siblings=${1} isRunning=${filling.isRunning} />`}
    </div>
  `;
}

function placeOf({ text, start, end }) {
  const lines = text.slice(0, start).split("\n");
  const place = `line ${lines.length}, column ${lines.at(-1).length + 1}`;
  return end > start ? `${place}, ${end - start} characters selected` : place;
}

function OpenFile({ write }) {
  const field = useRef(null);
  const [message, setMessage] = useState("");
  const open = async (event) => {
    const [file] = event.target.files;
    event.target.value = "";
    if (!file) return;
    if (file.size > LARGEST) {
      setMessage("The file is larger than 1 MiB.");
      return;
    }
    const text = await file.text();
    setMessage("");
    write(codeInput(text));
  };
  return html`
    <button type="button" onClick=${() => field.current.click()}>Open a file…</button>
    <input ref=${field} type="file" class="hidden" tabindex="-1" aria-label="Code file" onChange=${open} />
    ${message && html`<span class="problem" role="alert">${message}</span>`}
  `;
}

function Source({ area, input, write, fill }) {
  useLayoutEffect(() => {
    area.current.focus();
    area.current.setSelectionRange(input.start, input.end);
  }, []);
  const note = ({ target }) => {
    if (target.selectionStart !== input.start || target.selectionEnd !== input.end) {
      write({ start: target.selectionStart, end: target.selectionEnd });
    }
  };
  const press = (event) => {
    if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) {
      event.preventDefault();
      fill();
    }
  };
  return html`
    <textarea
      ref=${area}
      class="source mono"
      aria-label="Code"
      spellcheck=${false}
      autocapitalize="off"
      wrap="off"
      value=${input.text}
      onInput=${({ target }) => write({ text: target.value, start: target.selectionStart, end: target.selectionEnd })}
      onSelect=${note}
      onKeyUp=${note}
      onClick=${note}
      onKeyDown=${press}
    ></textarea>
  `;
}

/** The code with the filling in its place. */
function Filled({ input, filling, discard }) {
  const { answer, isRunning } = filling;
  const mark = useRef(null);
  useLayoutEffect(() => mark.current?.scrollIntoView({ block: "nearest" }), [answer.content]);
  useEffect(() => {
    const press = (event) => event.key === "Escape" && discard();
    document.addEventListener("keydown", press);
    return () => document.removeEventListener("keydown", press);
  }, [filling]);
  return html`
    <pre
      class="source filled"
      tabindex="0"
      role="region"
      aria-label="Code with the filling"
      aria-busy=${isRunning}
    >${input.text.slice(0, input.start)}<mark ref=${mark}>${answer.content}</mark>${input.text.slice(input.end)}</pre>
    ${answer.error && html`<p class="problem" role="alert">${answer.error.message}</p>`}
  `;
}
