// The numbers under an answer.

import { html } from "../../lib/ui.js";
import { measuresOf } from "../answer.js";

const ENDS = {
  stop: "",
  tool_calls: "",
  error: "",
  length: "cut off at max_tokens",
  model_length: "cut off: the context is full",
};

/** `siblings`: number of answers of the same request. */
export function Measures({ answer, siblings, isRunning }) {
  const { tokens, speed, first, prompt, cached } = measuresOf(answer, siblings);
  const ended = isRunning ? "" : answer.finish ? (ENDS[answer.finish] ?? answer.finish) : "interrupted";
  const parts = [
    tokens !== null && `${tokens} ${tokens === 1 ? "token" : "tokens"}`,
    speed !== null && `${speed >= 100 ? speed.toFixed(0) : speed.toFixed(1)} tokens/s`,
    first !== null && `first after ${Math.round(first)} ms`,
    prompt !== null && `${cached} of ${prompt} prompt tokens cached`,
    answer.edited && "edited",
    ended,
  ].filter(Boolean);
  return html`<p class="measures number">${parts.map((part) => html`<span key=${part}>${part}</span>`)}</p>`;
}
