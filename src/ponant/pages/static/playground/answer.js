/**
 * One answer while its stream arrives: pieces of the stream become text, thinking, calls, tokens and times.
 *
 * `run` is the place of the request among those of its group, `inherited` the number of tokens of a given beginning,
 * and `given` the number of UTF-16 units before the first token.
 *
 * @typedef {object} Timing
 * @property {number} first milliseconds from the request to the first token
 * @property {number} last milliseconds from the request to the last token
 */

const SHORTEST = 0.02;

/** Return the part of a turn that an answer begins with. */
export function newAnswer(asked, run = 0) {
  return {
    role: "assistant",
    asked,
    run,
    content: "",
    thinking: "",
    calls: [],
    tokens: null,
    inherited: 0,
    given: 0,
    finish: null,
    error: null,
    usage: null,
    timing: null,
    edited: false,
  };
}

/**
 * Add a choice of a stream's chunk to its answer.
 *
 * @param {object} answer the turn
 * @param {object} choice the choice as the API streams it
 * @param {number} elapsed milliseconds since the request
 */
export function addPiece(answer, choice, elapsed) {
  const { delta, logprobs, finish_reason: finish } = choice;
  addContent(answer, delta.content);
  for (const call of delta.tool_calls ?? []) {
    addCall(answer, call);
  }
  if (logprobs) {
    answer.tokens ??= [];
    answer.tokens.push(...logprobs.content.map(tokenOf));
  }
  if (delta.role === undefined) {
    answer.timing = { first: answer.timing?.first ?? elapsed, last: elapsed };
  }
  if (finish) {
    answer.finish = finish;
  }
}

function addContent(answer, content) {
  if (typeof content === "string") {
    answer.content += content;
    return;
  }
  for (const chunk of content ?? []) {
    if (chunk.type === "thinking") {
      answer.thinking += chunk.thinking.map((part) => part.text ?? "").join("");
    } else {
      answer.content += chunk.text ?? "";
    }
  }
}

/** Add a call, or a further piece of one: servers may stream the arguments in pieces. */
function addCall(answer, call) {
  const given = call.function.arguments;
  const text = typeof given === "string" ? given : JSON.stringify(given);
  const begun = answer.calls[call.index ?? answer.calls.length];
  if (begun) {
    begun.arguments += text;
    return;
  }
  answer.calls.push({ id: call.id, name: call.function.name, arguments: text });
}

function tokenOf(entry) {
  const top = entry.top_logprobs.map(({ bytes, logprob }) => ({ bytes, logprob }));
  return { bytes: entry.bytes, logprob: entry.logprob, top };
}

/**
 * Return the numbers under an answer; null for those that are not known.
 *
 * @param {number} alone number of answers of the same request
 * @returns {{tokens: number | null, speed: number | null, first: number | null, prompt: number | null,
 *   cached: number | null, accepted: number | null, rejected: number | null}} `speed` in tokens per second, after the
 *   first token; `first` in milliseconds
 */
export function measuresOf(answer, alone) {
  const { usage, timing, tokens } = answer;
  const counted = tokens ? tokens.length - answer.inherited : alone === 1 ? (usage?.completion_tokens ?? null) : null;
  const seconds = timing ? (timing.last - timing.first) / 1000 : 0;
  const isMeasured = counted > 1 && seconds > SHORTEST;
  const details = usage?.completion_tokens_details;
  return {
    tokens: counted,
    speed: isMeasured ? (counted - 1) / seconds : null,
    first: timing ? timing.first : null,
    prompt: usage?.prompt_tokens ?? null,
    cached: usage ? (usage.prompt_tokens_details?.cached_tokens ?? usage.num_cached_tokens ?? 0) : null,
    accepted: details?.accepted_prediction_tokens ?? null,
    rejected: details?.rejected_prediction_tokens ?? null,
  };
}
