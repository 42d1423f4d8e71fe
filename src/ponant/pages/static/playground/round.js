// A round: the requests that answer one turn together. Their answers are siblings of one group.

import { streamed } from "../lib/api.js";
import { addPiece, newAnswer } from "./answer.js";
import { addTurn, choose, newId, pathTo } from "./conversation.js";
import { CHAT, chatBody } from "./request.js";
import { MOST_CHOICES } from "./settings.js";

/** Runs requests after one turn of a conversation. */
export class Round {
  /**
   * Add the answers to the conversation, still empty.
   *
   * @param {import("./conversation.js").Conversation} conversation
   * @param {string | null} parent id of the turn to answer
   * @param {object[]} asked what each request asks for
   * @param {{inTurn?: boolean, begun?: {tokens: object[], given: number}}} options `inTurn`: run one request after the
   *   other; `begun`: the tokens of the given beginning, and the length of the text before them
   */
  constructor(conversation, parent, asked, { inTurn = false, begun = null } = {}) {
    this.conversation = conversation;
    this.inTurn = inTurn;
    this.controller = new AbortController();
    const group = newId();
    this.runs = asked.map((one, run) => ({
      asked: one,
      answers: answersOf(conversation, parent, { ...newAnswer(one, run), group, ...beginning(one, begun) }),
    }));
    this.body = (one) => chatBody(parent === null ? [] : pathTo(conversation, parent), one);
    this.running = new Set(this.runs.flatMap((run) => run.answers.map((answer) => answer.id)));
    choose(conversation, this.runs[0].answers[0].id);
  }

  /** Run all requests, and call `changed` after each change. */
  async run(changed) {
    const started = this.runs.map((run) => () => this.answer(run, changed));
    if (this.inTurn) {
      for (const start of started) await start();
    } else {
      await Promise.all(started.map((start) => start()));
    }
  }

  /** End the generation of all answers. */
  stop() {
    this.controller.abort();
  }

  async answer({ asked, answers }, changed) {
    const begun = performance.now();
    try {
      this.controller.signal.throwIfAborted();
      for await (const chunk of streamed(CHAT, this.body(asked), { signal: this.controller.signal })) {
        for (const choice of chunk.choices) addPiece(answers[choice.index], choice, performance.now() - begun);
        if (chunk.usage) answers.forEach((answer) => (answer.usage = chunk.usage));
        changed();
      }
    } catch (error) {
      const isStopped = error.name === "AbortError";
      for (const answer of answers.filter((one) => !one.finish)) {
        answer.finish = isStopped ? "stopped" : "error";
        answer.error = isStopped ? null : { message: error.message };
      }
    }
    for (const answer of answers) this.running.delete(answer.id);
    changed();
  }
}

/** Add the answers of a request: as many as it has choices. */
function answersOf(conversation, parent, answer) {
  const count = choicesOf(answer.asked.fields);
  return Array.from({ length: count }, () => addTurn(conversation, parent, structuredClone(answer)));
}

/** Return what an answer has of the beginning that its request gives. */
function beginning(asked, begun) {
  if (!begun) return { given: asked.prefix.length };
  return { given: begun.given, tokens: begun.tokens, inherited: begun.tokens.length };
}

function choicesOf({ n }) {
  return Number.isInteger(n) ? Math.min(MOST_CHOICES, Math.max(1, n)) : 1;
}
