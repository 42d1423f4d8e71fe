/**
 * Requests of a conversation: the method, the path and the body that the API takes.
 *
 * @typedef {{path: string, body: object}} Request
 */

import {
  addTurn,
  codeInput,
  messagesOf,
  newConversation,
  newId,
  pathOf,
  pathTo,
  readContent,
  textOf,
} from "./conversation.js";
import { chatFields, extraFields, numberFields, settingsOf } from "./settings.js";

export const CHAT = "/v1/chat/completions";
export const FIM = "/v1/fim/completions";
export const EMBEDDINGS = "/v1/embeddings";

const FIM_NUMBERS = ["temperature", "top_p", "max_tokens", "random_seed"];
const ROLES = ["system", "user", "assistant", "tool"];

/**
 * Return the body of a chat request.
 *
 * @param {import("./conversation.js").Turn[]} turns the conversation so far
 * @param {{model: string, system: string, fields: object, prefix: string}} asked what an answer keeps of its request
 */
export function chatBody(turns, { model, system, fields, prefix }) {
  const messages = messagesOf(turns, system);
  if (prefix) {
    messages.push({ role: "assistant", content: prefix, prefix: true });
  }
  return { model, messages, ...fields };
}

/**
 * Return what the next requests ask for: one for each model, and one without the prediction to compare with.
 *
 * @returns {{asked: object[], problems: {panel: string, message: string}[], inTurn: boolean}} `inTurn` is true for
 *   requests that must not run at the same time
 */
export function askedBy(settings) {
  const { fields, problems } = chatFields(settings);
  const models = settings.beside ? [settings.model, settings.beside] : [settings.model];
  const asked = models.map((model) => ({ model, system: settings.system, fields, prefix: "", note: "" }));
  if (settings.prediction !== null && settings.comparePrediction) {
    const { prediction: _, ...without } = fields;
    const pairs = asked.flatMap((one) => [
      { ...one, note: "with the prediction" },
      { ...one, fields: without, note: "without it" },
    ]);
    return { asked: pairs, problems, inTurn: true };
  }
  return { asked, problems, inTurn: false };
}

/** Return what continues an answer from a text: one choice, with this text as its forced beginning. */
export function continuing(asked, prefix) {
  const { n: _, ...fields } = asked.fields;
  return { ...asked, fields, prefix, note: "" };
}

/**
 * Return the request to show as code: that of an answer, or the next one of a conversation, or that of the last answer.
 *
 * @param {import("./conversation.js").Conversation} conversation
 * @param {import("./conversation.js").Turn | null} turn the answer; null for none
 * @returns {{request: Request, label: string} | null} null if there is no request yet
 */
export function shownRequest(conversation, turn) {
  const { kind, input, settings } = conversation;
  const label = "The next request";
  if (kind === "fim") return input ? { request: { path: FIM, body: fimBody(settings, input) }, label } : null;
  if (kind === "embeddings") {
    const body = embeddingsBody(settings, input?.texts.filter((text) => text.trim()) ?? []);
    return body.input.length ? { request: { path: EMBEDDINGS, body }, label } : null;
  }
  const path = pathOf(conversation);
  const draft = conversation.draft?.trim() ? conversation.draft : "";
  const last = path.at(-1);
  if (!turn && (draft || (last && last.role !== "assistant"))) {
    const turns = draft ? [...path, { role: "user", content: draft }] : path;
    return { request: { path: CHAT, body: chatBody(turns, askedBy(settings).asked[0]) }, label };
  }
  const shown = turn ?? last;
  if (!shown) return null;
  const body = chatBody(shown.parent === null ? [] : pathTo(conversation, shown.parent), shown.asked);
  return { request: { path: CHAT, body }, label: `The request of ${turn ? "this" : "the last"} answer` };
}

/** Return the reason why an answer of this request cannot be continued from a given beginning; null if it can. */
export function refusalOfPrefix({ fields }) {
  if (fields.response_format && fields.response_format.type !== "text") {
    return "A JSON format and a given beginning exclude each other.";
  }
  if (fields.prompt_mode || !["none", "minimal", undefined].includes(fields.reasoning_effort)) {
    return "Reasoning and a given beginning exclude each other.";
  }
  if (!["auto", "none", undefined].includes(fields.tool_choice)) {
    return "A tool choice that demands a call and a given beginning exclude each other.";
  }
  return null;
}

/** Return the body of a fill-in-the-middle request. */
export function fimBody(settings, { text, start, end }) {
  const [prompt, suffix] = [text.slice(0, start), text.slice(end)];
  const stops = settings.stop.length ? { stop: settings.stop } : {};
  const { fields } = extraFields(settings);
  return {
    model: settings.model,
    prompt,
    suffix,
    stream: true,
    ...numberFields(settings, FIM_NUMBERS),
    ...stops,
    ...fields,
  };
}

/** Return the body of a request for embeddings. */
export function embeddingsBody(settings, texts) {
  return { model: settings.model, input: texts, ...extraFields(settings).fields };
}

/** Return a new conversation whose next request is this one. */
export function conversationOf({ path, body }) {
  if (path === FIM) {
    const { prompt = "", suffix = "", ...fields } = body;
    const before = `${prompt ?? ""}`;
    const input = codeInput(`${before}${suffix ?? ""}`, before.length);
    return { ...newConversation("fim", settingsOf(fields)), input };
  }
  if (path === EMBEDDINGS) {
    const { input, inputs, ...fields } = body;
    const texts = [input ?? inputs ?? ""].flat().map(String);
    return { ...newConversation("embeddings", settingsOf(fields)), input: { texts: texts.length ? texts : [""] } };
  }
  return chatOf(body);
}

function chatOf(body) {
  const settings = settingsOf(body);
  const messages = (Array.isArray(body.messages) ? body.messages : []).filter((message) =>
    ROLES.includes(message?.role),
  );
  if (messages[0]?.role === "system" && typeof messages[0].content === "string") {
    settings.system = messages.shift().content;
  }
  const conversation = newConversation("chat", settings);
  let last = null;
  for (const message of messages) {
    last = addMessage(conversation, last, message);
  }
  return conversation;
}

/** Add a message after a turn, and return its turn: the same one for a further result of its calls. */
function addMessage(conversation, last, message) {
  const { role } = message;
  const content = readContent(message.content ?? "");
  if (content === null) throw new Error(`a message of the ${role} has no readable content`);
  if (role === "tool") {
    const { tool_call_id: id = "", name = "" } = message;
    const result = { id: String(id), name: String(name), content: textOf(content) };
    if (last?.role === "tool") {
      last.results.push(result);
      return last;
    }
    return addTurn(conversation, last?.id ?? null, { role, results: [result] });
  }
  const turn = { role, content };
  if (role === "assistant") {
    Object.assign(turn, answerOf(conversation.settings, [message.tool_calls ?? []].flat().map(callOf)));
    if (message.prefix && typeof content === "string") Object.assign(turn, begunWith(turn, content));
  }
  return addTurn(conversation, last?.id ?? null, turn);
}

/** Return what an answer has that is a given beginning, and nothing more yet. */
function begunWith({ asked }, text) {
  return { asked: { ...asked, prefix: text }, given: text.length, finish: "stopped" };
}

/** Return the parts of an answer that no request has generated. */
export function answerOf(settings, calls = []) {
  const { fields } = chatFields(settings);
  const asked = { model: settings.model, system: settings.system, fields, prefix: "", note: "" };
  return {
    asked,
    calls,
    thinking: "",
    tokens: null,
    inherited: 0,
    given: 0,
    finish: calls.length ? "tool_calls" : "stop",
    edited: true,
  };
}

/** Return a call as answers keep it. */
export function callOf(call) {
  const { name, arguments: given } = call?.function ?? {};
  if (typeof name !== "string") throw new Error("a call has no name");
  return {
    id: call.id ?? newId().slice(0, 9),
    name,
    arguments: typeof given === "string" ? given : JSON.stringify(given),
  };
}
