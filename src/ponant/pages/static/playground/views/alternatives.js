// The alternatives of a token: a panel at its place in an answer.

import { html, useEffect, useLayoutEffect, useRef } from "../../lib/ui.js";
import { textOf } from "../conversation.js";
import { refusalOfPrefix } from "../request.js";
import { isControl, percent, spelled, textUpTo } from "../tokens.js";

const MARGIN = 8;

/**
 * `pointed`: the token, with its element and its cell; `isOpen` is true if the panel has the focus.
 * `point`: shows the alternatives of another token, or of none.
 */
export function Alternatives({ bench, pointed, point }) {
  const panel = useRef(null);
  useLayoutEffect(() => {
    if (pointed) placeAt(panel.current, pointed.element.getClientRects()[0]);
    if (pointed?.isOpen) panel.current.querySelector("button:not(:disabled)")?.focus();
  }, [pointed]);
  useEffect(() => {
    const leave = (event) => !panel.current?.contains(event.target) && !event.target.closest?.(".token") && point(null);
    document.addEventListener("pointerdown", leave);
    return () => document.removeEventListener("pointerdown", leave);
  }, []);
  if (!pointed) return null;
  const { turn, cell, part } = pointed;
  const indices = Array.from({ length: cell.end - cell.start }, (_, step) => cell.start + step);
  const refusal =
    part === "thinking" ? "An answer cannot be continued from within its thinking." : refusalOfPrefix(turn.asked);
  const done = () => point(null);
  const close = () => {
    pointed.element.focus(); // shows the alternatives, too
    point(null);
  };
  const press = (event) => {
    if (event.key === "Escape") {
      event.stopPropagation();
      close();
    } else if (event.key === "ArrowDown" || event.key === "ArrowUp") {
      event.preventDefault();
      step(panel.current, event.key === "ArrowDown" ? 1 : -1);
    }
  };
  return html`
    <div
      ref=${panel}
      class="alternatives"
      role="dialog"
      aria-label="Alternatives"
      onKeyDown=${press}
      onMouseLeave=${() => !pointed.isOpen && point(null)}
    >
      ${indices.map(
        (index) => html`
          <${List} key=${index} bench=${bench} pointed=${pointed} index=${index} refusal=${refusal} done=${done} />
        `,
      )}
      <p class="hint muted">${refusal ?? "Choose a token to continue from it."}</p>
    </div>
  `;
}

function List({ bench, pointed, index, refusal, done }) {
  const { turn, cell } = pointed;
  const token = turn.tokens[index];
  const isBusy = Boolean(bench.round);
  const isTaken = ({ bytes }) => String(bytes) === String(token.bytes);
  const shown = token.top.some(isTaken) ? token.top : [...token.top, token];
  const text = textOf(turn.content);
  const go = (other, prefix) => {
    const tokens = [...turn.tokens.slice(0, index), { bytes: other.bytes, logprob: other.logprob, top: token.top }];
    done();
    bench.continueFrom(turn, prefix, { tokens, given: turn.given });
  };
  return html`
    <ul class="plain">
      ${shown.map((other) => {
        const prefix = refusal || isControl(other.bytes) ? null : textUpTo(turn.tokens, text, cell, index, other.bytes);
        return html`
          <li key=${String(other.bytes)}>
            <button
              type="button"
              class=${isTaken(other) ? "alternative taken" : "alternative"}
              disabled=${prefix === null || isBusy}
              title=${titleOf(other, prefix, refusal)}
              onClick=${() => go(other, prefix)}
            >
              <code>${spelled(other.bytes)}</code>
              <span class="share" style=${{ "--share": Math.exp(other.logprob).toFixed(4) }}></span>
              <span class="number">${percent(other.logprob)}</span>
              <span class="mark">${isTaken(other) && html`<${Taken} />`}</span>
            </button>
          </li>
        `;
      })}
    </ul>
  `;
}

function Taken() {
  return html`<span aria-hidden="true">✓</span><span class="hidden">in the answer</span>`;
}

function titleOf(other, prefix, refusal) {
  if (prefix !== null || refusal) return undefined;
  return isControl(other.bytes)
    ? "A control token is no text to continue from"
    : "Half a character is no text to continue from";
}

function step(panel, by) {
  const buttons = [...panel.querySelectorAll("button:not(:disabled)")];
  const at = buttons.indexOf(document.activeElement) + by;
  buttons[(at + buttons.length) % buttons.length]?.focus();
}

/** Put the panel under a token, or above it if there is more room, within the window. */
function placeAt(panel, token) {
  if (!token) return;
  const { offsetWidth: width, offsetHeight: height } = panel;
  const below = token.bottom - 1;
  const isAbove = below + height > innerHeight - MARGIN && token.top - height - 2 > MARGIN;
  panel.style.left = `${Math.max(MARGIN, Math.min(token.left, innerWidth - width - MARGIN))}px`;
  panel.style.top = `${isAbove ? token.top - height + 1 : below}px`;
}
