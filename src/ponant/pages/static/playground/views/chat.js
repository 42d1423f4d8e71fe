// A chat: the shown path of the conversation, and the field for the next message.

import { html, useEffect, useLayoutEffect, useRef, useState } from "../../lib/ui.js";
import { mayCall } from "../../lib/api.js";
import { branchesOf, pathOf } from "../conversation.js";
import { askedBy } from "../request.js";
import { Action } from "./action.js";
import { Alternatives } from "./alternatives.js";
import { Answers } from "./answers.js";
import { Area } from "./area.js";
import { Boundary } from "./boundary.js";
import { Message } from "./message.js";
import { ResultForm, Results } from "./results.js";

const NEAR = 80;

export function Chat({ bench }) {
  const { conversation } = bench;
  const path = pathOf(conversation);
  const last = path.at(-1);
  const [pointed, point] = useState(null);
  const scroll = useRef(null);
  useFollowing(scroll, conversation.id, last?.group);
  return html`
    <div
      class="transcript"
      ref=${scroll}
      onScroll=${() => pointed && point(null)}
      tabindex="0"
      role="region"
      aria-label="Conversation"
    >
      ${path.length === 0 && html`<${Empty} bench=${bench} />`}
      ${path.map(
        (turn) =>
          html`<${Boundary} key=${turn.group} bench=${bench} turn=${turn}>
            <${Turn} bench=${bench} turn=${turn} point=${point} pointed=${pointed} />
          <//>`,
      )}
      ${last && last.children.length > 0 && html`<${Hidden} bench=${bench} turn=${last} />`}
    </div>
    ${
      isCalling(last) && !bench.isRunning(last)
        ? html`<${ResultForm} key=${last.id} bench=${bench} turn=${last} />`
        : html`<${Composer} bench=${bench} last=${last} />`
    }
    <${Alternatives} bench=${bench} pointed=${pointed} point=${point} />
  `;
}

function Turn({ bench, turn, point, pointed }) {
  const branches = branchesOf(bench.conversation, turn);
  if (turn.role === "assistant") {
    const group = branches.find((branch) => branch.includes(turn));
    return html`<${Answers}
      bench=${bench}
      turn=${turn}
      group=${group}
      branches=${branches}
      point=${point}
      pointed=${pointed}
    />`;
  }
  if (turn.role === "tool") return html`<${Results} bench=${bench} turn=${turn} branches=${branches} />`;
  return html`<${Message} bench=${bench} turn=${turn} branches=${branches} />`;
}

function isCalling(turn) {
  return turn?.role === "assistant" && turn.calls.length > 0;
}

/** Keep the end in view while answers grow, unless the reader has scrolled up. */
function useFollowing(scroll, conversation, group) {
  const follows = useRef(true);
  useEffect(() => {
    const { current } = scroll;
    const note = () => (follows.current = current.scrollHeight - current.scrollTop - current.clientHeight < NEAR);
    current.addEventListener("scroll", note);
    return () => current.removeEventListener("scroll", note);
  }, []);
  useLayoutEffect(() => {
    if (follows.current) scroll.current.scrollTop = scroll.current.scrollHeight;
  });
  useLayoutEffect(() => {
    scroll.current.scrollTop = scroll.current.scrollHeight;
  }, [conversation, group]);
}

function Empty({ bench }) {
  if (!mayCall()) return null;
  const { model } = bench.conversation.settings;
  if (!model && !bench.loading) {
    return html`<div class="empty">
      <h2>No model for chat</h2>
      <p class="muted">Start the server with a model that can chat.</p>
    </div>`;
  }
  return html`
    <div class="empty">
      <h2>${model || "Loading models…"}</h2>
      <p class="muted">
        Write a message below. Settings, a JSON schema, tools and this request as code are in the panel.
      </p>
    </div>
  `;
}

/** Note that turns follow which are not shown, as the next message begins a branch. */
function Hidden({ bench, turn }) {
  const groups = branchesOf(bench.conversation, bench.conversation.turns[turn.children[0]]);
  const show = () => bench.choose(groups.at(-1)[0]);
  const what = groups.length === 1 ? "the turn that follows" : `the ${groups.length} branches that follow`;
  return html`
    <p class="hidden-turns muted">
      The next message begins a branch here.
      <${Action} act=${show}>Show ${what}<//>
    </p>
  `;
}

function Composer({ bench, last }) {
  const { conversation, round } = bench;
  const [text, setText] = useState(conversation.draft ?? "");
  const field = useRef(null);
  useEffect(() => {
    if (bench.isNew && matchMedia("(pointer: fine)").matches) field.current.focus();
    bench.isNew = false;
  }, []);
  const { problems } = askedBy(conversation.settings);
  const awaits = last && last.role !== "assistant";
  const isReady = conversation.settings.model && problems.length === 0 && (text.trim() || awaits) && !round;
  const write = (value) => {
    setText(value);
    conversation.draft = value;
    bench.changed();
  };
  const send = () => {
    if (!isReady) return;
    bench.send(text.trim() ? text : "");
    setText("");
  };
  const press = (event) => {
    if (event.key === "Enter" && !event.shiftKey && !event.isComposing) {
      event.preventDefault();
      send();
    } else if (event.key === "Escape" && round) {
      event.stopPropagation();
      bench.stop();
    }
  };
  return html`
    <form class="composer" onSubmit=${(event) => (event.preventDefault(), send())}>
      ${problems.map(({ panel, message }) => html`<p class="problem" key=${panel}>${message}</p>`)}
      <div class="composer-row">
        <${Area}
          area=${field}
          rows="1"
          aria-label="Message"
          placeholder=${awaits ? "A further message, or nothing to answer the last one" : "Message"}
          value=${text}
          write=${write}
          onKeyDown=${press}
        />
        ${
          round
            ? html`<button key="stop" type="button" class="primary send" onClick=${() => bench.stop()}>Stop</button>`
            : html`<button key="send" type="submit" class="primary send" disabled=${!isReady}>
                ${awaits && !text.trim() ? "Answer" : "Send"}
              </button>`
        }
      </div>
      <p class="hint muted">Enter sends · Shift+Enter begins a line · Esc stops</p>
    </form>
  `;
}
