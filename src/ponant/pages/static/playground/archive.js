// Conversations as a JSON file: written by an export, read by an import.

import { codeInput, newId, readContent } from "./conversation.js";
import { completeSettings } from "./settings.js";

const FORMAT = "ponant-playground";
const VERSION = 1;
const KINDS = ["chat", "fim", "embeddings"];
const ID = /^[0-9a-z]+$/i;
const ROLES = ["system", "user", "assistant", "tool"];

/** Return the text of a file with conversations. */
export function writeArchive(conversations) {
  return JSON.stringify({ format: FORMAT, version: VERSION, conversations }, null, 1);
}

/**
 * Return the conversations of a file, each with a new id.
 *
 * @throws {Error} if the file is none of these, or if its conversations are damaged
 */
export function readArchive(text) {
  let file;
  try {
    file = JSON.parse(text);
  } catch {
    throw new Error("The file is not JSON. Choose a file that this page exported.");
  }
  if (file?.format !== FORMAT || !Array.isArray(file.conversations)) {
    throw new Error("The file has no conversations of this page. Choose one that it exported.");
  }
  if (file.version > VERSION) {
    throw new Error(`The file has version ${file.version} of the format. Update this server to import it.`);
  }
  return file.conversations.map(readConversation);
}

function readConversation(given, place) {
  const turns = KINDS.includes(given?.kind) ? readTurns(given) : null;
  if (!turns) throw new Error(`Conversation ${place + 1} of the file is damaged. Export it again.`);
  return {
    id: newId(),
    kind: given.kind,
    title: text(given.title),
    created: number(given.created) ?? Date.now(),
    updated: number(given.updated) ?? Date.now(),
    settings: completeSettings(given.settings),
    turns,
    children: strings(given.children),
    chosen: chosenOf(given),
    draft: text(given.draft),
    ...(given.input ? { input: readInput(given.kind, given.input) } : {}),
  };
}

/** Return the turns of a conversation by id; null if they are damaged. */
function readTurns(given) {
  if (typeof given.turns !== "object" || given.turns === null) return null;
  const turns = {};
  const waiting = [{ ids: given.children, parent: null }];
  while (waiting.length) {
    const { ids, parent } = waiting.pop();
    const groups = new Map();
    for (const id of strings(ids)) {
      const turn = Object.hasOwn(given.turns, id) ? given.turns[id] : null;
      if (!ROLES.includes(turn?.role) || !ID.test(id) || Object.hasOwn(turns, id)) return null;
      const place = { id, parent, children: strings(turn.children), chosen: chosenOf(turn) };
      turns[id] = { ...readTurn(turn), ...place, group: groupOf(turn, groups) };
      waiting.push({ ids: turn.children, parent: id });
    }
  }
  return turns;
}

/** Return the group of a turn: a new one for each name among the answers of one turn, as other turns stand alone. */
function groupOf({ role, group }, groups) {
  const name = role === "assistant" ? text(group) : "";
  if (!name) return newId();
  if (!groups.has(name)) groups.set(name, newId());
  return groups.get(name);
}

function chosenOf(owner) {
  return strings(owner.children).includes(owner.chosen) ? owner.chosen : null;
}

function readTurn(turn) {
  const common = { role: turn.role };
  if (turn.role === "tool") return { ...common, content: "", results: list(turn.results).map(readResult) };
  if (turn.role !== "assistant") return { ...common, content: readContent(turn.content) ?? "" };
  return {
    ...common,
    asked: readAsked(turn.asked),
    run: number(turn.run) ?? 0,
    content: readContent(turn.content) ?? "",
    thinking: text(turn.thinking),
    calls: list(turn.calls).map(({ id, name, arguments: given }) => ({
      id: text(id),
      name: text(name),
      arguments: text(given),
    })),
    tokens: Array.isArray(turn.tokens) ? turn.tokens.map(readToken) : null,
    inherited: number(turn.inherited) ?? 0,
    given: number(turn.given) ?? 0,
    finish: typeof turn.finish === "string" ? turn.finish : null,
    error: turn.error ? { message: text(turn.error.message) } : null,
    usage: numbersOf(turn.usage),
    timing: turn.timing ? { first: number(turn.timing.first) ?? 0, last: number(turn.timing.last) ?? 0 } : null,
    edited: turn.edited === true,
  };
}

/** Return the numbers of an object, and those of its details; null if it is none. */
function numbersOf(value) {
  if (typeof value !== "object" || value === null) return null;
  const read = ([name, one]) => [name, name.endsWith("_details") ? numbersOf(one) : number(one)];
  return Object.fromEntries(Object.entries(value).map(read));
}

function readAsked(asked) {
  const { model, system, prefix, note } = asked ?? {};
  const fields = typeof asked?.fields === "object" && asked.fields !== null ? asked.fields : {};
  return { model: text(model), system: text(system), fields, prefix: text(prefix), note: text(note) };
}

function readResult({ id, name, content }) {
  return { id: text(id), name: text(name), content: text(content) };
}

function readToken(token) {
  const read = ({ bytes, logprob }) => ({ bytes: list(bytes).map(Number), logprob: Number(logprob) });
  return { ...read(token), top: list(token.top).map(read) };
}

function readInput(kind, input) {
  if (kind === "embeddings") return { texts: strings(input.texts) };
  const code = text(input.text);
  const place = (value) => Math.min(code.length, Math.max(0, Math.trunc(number(value) ?? code.length)));
  return codeInput(code, place(input.start), Math.max(place(input.start), place(input.end)));
}

const text = (value) => (typeof value === "string" ? value : "");
const number = (value) => (Number.isFinite(value) ? value : null);
const list = (value) => (Array.isArray(value) ? value : []).filter((item) => typeof item === "object" && item !== null);
const strings = (value) => (Array.isArray(value) ? value : []).filter((item) => typeof item === "string");
