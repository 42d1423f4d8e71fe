// One filling of a gap in a code: the request, and the text so far.

import { streamed } from "../lib/api.js";
import { addPiece, newAnswer } from "./answer.js";
import { FIM } from "./request.js";

/** A filling that is generated, or was. */
export class Filling {
  /** @param {object} body body of the request */
  constructor(body) {
    this.body = body;
    this.answer = newAnswer({ model: body.model, system: "", fields: {}, prefix: "", note: "" });
    this.controller = new AbortController();
    this.isRunning = true;
  }

  /** Run the request, and call `changed` after each change. */
  async run(changed) {
    const { answer } = this;
    const begun = performance.now();
    try {
      for await (const chunk of streamed(FIM, this.body, { signal: this.controller.signal })) {
        for (const choice of chunk.choices) addPiece(answer, choice, performance.now() - begun);
        answer.usage = chunk.usage ?? answer.usage;
        changed();
      }
    } catch (error) {
      const isStopped = error.name === "AbortError";
      answer.finish = isStopped ? "stopped" : "error";
      answer.error = isStopped ? null : { message: error.message };
    }
    this.isRunning = false;
    changed();
  }

  stop() {
    this.controller.abort();
  }
}
