// Text of an answer, coloured by the probability of its tokens.

import { Component, html } from "../../lib/ui.js";
import { textOf } from "../conversation.js";
import { cellsOf, logprobOf, percent, strengthOf } from "../tokens.js";

const BLOCK = 64;

/** Return the cells of an answer: those of its thinking, and those of its text. */
export function cellsOfAnswer(answer) {
  const texts = [
    { text: answer.thinking, given: 0 },
    { text: textOf(answer.content), given: answer.given },
  ];
  const [thinking, content] = cellsOf(answer.tokens, texts);
  return { thinking, content };
}

/** Cells that are drawn together, and again only while their text may grow, or to move the tab stop. */
class Block extends Component {
  shouldComponentUpdate({ answer, stop }) {
    return this.props.grows || answer !== this.props.answer || stop !== this.props.stop;
  }

  render({ answer, cells, first, stop }) {
    return cells.map((cell, step) => {
      const at = first + step;
      return isKnown(cell)
        ? html`<${Cell} key=${at} tokens=${answer.tokens} cell=${cell} at=${at} isStop=${at === stop} />`
        : cell.text;
    });
  }
}

function Cell({ tokens, cell, at, isStop }) {
  const logprob = logprobOf(tokens, cell.start, cell.end);
  return html`<span
    class="token"
    role="button"
    aria-haspopup="dialog"
    aria-label="${cell.text.trim() || "white space"}, ${percent(logprob)}"
    tabindex=${isStop ? 0 : -1}
    data-at=${at}
    data-logprob=${logprob}
    style=${{ "--strength": strengthOf(logprob).toFixed(3) }}
    >${cell.text}</span
  >`;
}

/**
 * Text whose tokens show their alternatives: under the pointer, with the focus, and with Enter.
 *
 * The arrow keys move between the tokens; only one of them is in the order of the Tab key.
 */
export class Coloured extends Component {
  shouldComponentUpdate({ answer, part, pointed }) {
    const count = answer.tokens.length;
    const changed =
      count !== this.count ||
      answer !== this.props.answer ||
      part !== this.props.part ||
      pointed !== this.props.pointed;
    return changed || textOf(answer.content) !== this.text;
  }

  render({ answer, part, pointed }) {
    this.count = answer.tokens.length;
    this.text = textOf(answer.content);
    this.cells = cellsOfAnswer(answer)[part];
    if (pointed?.part === part) this.stop = pointed.place;
    const stop = this.stop ?? this.cells.findIndex(isKnown);
    const count = Math.ceil(this.cells.length / BLOCK);
    return html`
      <div
        class="coloured"
        role="group"
        aria-label="Tokens by probability"
        onMouseOver=${this.over}
        onMouseLeave=${this.leave}
        onFocusCapture=${this.focus}
        onClick=${this.open}
        onKeyDown=${this.press}
      >
        ${Array.from({ length: count }, (_, block) => {
          const first = block * BLOCK;
          const cells = this.cells.slice(first, first + BLOCK);
          const place = stop >= first && stop < first + BLOCK ? stop : -1;
          const grows = block === count - 1;
          return html`<${Block}
            key=${block}
            answer=${answer}
            cells=${cells}
            first=${first}
            stop=${place}
            grows=${grows}
          />`;
        })}
      </div>
    `;
  }

  over = (event) => this.pointAt(event.target, false);

  /** Hide the alternatives, unless the pointer moves to them or they have the focus. */
  leave = ({ relatedTarget }) => {
    if (!relatedTarget?.closest?.(".alternatives")) this.props.point((now) => (now?.isOpen ? now : null));
  };

  focus = (event) => this.pointAt(event.target, false);

  open = (event) => this.pointAt(event.target, true);

  press = (event) => {
    const steps = { ArrowRight: 1, ArrowLeft: -1, ArrowDown: 1, ArrowUp: -1 };
    if (event.key in steps) {
      event.preventDefault();
      this.step(event.target, steps[event.key]);
    } else if (event.key === "Enter" || event.key === " ") {
      event.preventDefault();
      this.pointAt(event.target, true);
    } else if (event.key === "Escape") {
      this.props.point(null);
    }
  };

  step(target, step) {
    const tokens = [...target.closest(".coloured").querySelectorAll(".token")];
    tokens[tokens.indexOf(target) + step]?.focus();
  }

  pointAt(target, isOpen) {
    const token = target.closest?.(".token");
    if (!token) return;
    const { answer, part, point } = this.props;
    const place = Number(token.dataset.at);
    const found = { turn: answer, part, place, cell: this.cells[place], element: token, isOpen };
    point((now) => (now && (now.isOpen || now.element === token) && !isOpen ? now : found));
  }
}

function isKnown(cell) {
  return cell.end > cell.start;
}
