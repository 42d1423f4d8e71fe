// Embeddings: a list of texts, and the similarities of each two of them.

import { Failure, html, useLayoutEffect, useRef, useState } from "../../lib/ui.js";
import { postJson } from "../../lib/api.js";
import { EMBEDDINGS, embeddingsBody } from "../request.js";
import { isSendable } from "../settings.js";
import { similarities } from "../similarity.js";
import { Area } from "./area.js";
import { HeatMap } from "./heat_map.js";

const EXAMPLE = ["How do I bake bread?", "A recipe for sourdough", "The tide turns at noon"];

export function Embeddings({ bench }) {
  const { conversation } = bench;
  conversation.input ??= { texts: EXAMPLE };
  const { texts } = conversation.input;
  const [state, setState] = useState({ isRunning: false, error: null, found: null });
  const list = useRef(null);
  const wanted = useRef(null);
  const [, redraw] = useState(0);
  const given = texts.filter((text) => text.trim());
  const write = (changed, focus = null) => {
    conversation.input = { texts: changed };
    wanted.current = focus;
    redraw((count) => count + 1);
    bench.save();
  };
  useLayoutEffect(() => {
    if (wanted.current !== null) list.current.querySelectorAll("textarea")[wanted.current]?.focus();
    wanted.current = null;
  });
  const embed = async (event) => {
    event?.preventDefault();
    const begun = performance.now();
    setState({ ...state, isRunning: true, error: null });
    try {
      const answer = await postJson(EMBEDDINGS, embeddingsBody(conversation.settings, given));
      const vectors = answer.data.map((entry) => entry.embedding);
      if (!vectors.every(Array.isArray))
        throw new Error("The vectors are no lists of numbers. Remove encoding_format.");
      setState({ isRunning: false, error: null, found: foundOf(given, vectors, answer, performance.now() - begun) });
    } catch (error) {
      setState({ ...state, isRunning: false, error });
    }
  };
  return html`
    <form class="embeddings" onSubmit=${embed}>
      <ol class="texts" ref=${list}>
        ${texts.map(
          (text, place) =>
            html`<${Row} key=${place} texts=${texts} text=${text} place=${place} write=${write} embed=${embed} />`,
        )}
      </ol>
      <div class="row">
        <button type="button" onClick=${() => write([...texts, ""], texts.length)}>Add a text</button>
        <button
          type="submit"
          class="primary"
          disabled=${!isSendable(conversation.settings) || given.length === 0 || state.isRunning}
        >
          ${state.isRunning ? "Embedding…" : "Embed"}
        </button>
        <span class="hint muted">Enter begins a text · Ctrl+Enter embeds · pasted lines become texts</span>
      </div>
      <${Failure} error=${state.error} retry=${embed} />
      ${state.found && html`<${HeatMap} ...${state.found} />`}
    </form>
  `;
}

function foundOf(texts, vectors, answer, milliseconds) {
  const facts = { dimensions: vectors[0].length, tokens: answer.usage.total_tokens, milliseconds };
  return { texts, matrix: similarities(vectors), facts };
}

function Row({ texts, text, place, write, embed }) {
  const press = (event) => {
    if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) {
      embed(event);
    } else if (event.key === "Enter" && !event.shiftKey && !event.isComposing) {
      event.preventDefault();
      write(texts.toSpliced(place + 1, 0, ""), place + 1);
    } else if (event.key === "Backspace" && !text && texts.length > 1) {
      event.preventDefault();
      write(texts.toSpliced(place, 1), Math.max(0, place - 1));
    }
  };
  const paste = (event) => {
    const lines = event.clipboardData
      .getData("text/plain")
      .split(/\r?\n/)
      .filter((line) => line.trim());
    if (lines.length < 2) return;
    event.preventDefault();
    const kept = text ? [text] : [];
    write(texts.toSpliced(place, 1, ...kept, ...lines), place + kept.length + lines.length - 1);
  };
  return html`
    <li class="text-row">
      <${Area}
        rows="1"
        aria-label="Text ${place + 1}"
        value=${text}
        write=${(value) => write(texts.with(place, value))}
        onKeyDown=${press}
        onPaste=${paste}
      />
      <button
        type="button"
        class="quiet small"
        aria-label="Remove text ${place + 1}"
        disabled=${texts.length === 1}
        onClick=${() => write(texts.toSpliced(place, 1))}
      >
        ✕
      </button>
    </li>
  `;
}
