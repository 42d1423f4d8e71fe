/**
 * A conversation: a tree of turns, and the settings of its next request.
 *
 * A turn never changes once it is complete. An edit adds a sibling, so every branch stays readable. Answers that were
 * requested together share a `group` and are shown side by side.
 *
 * @typedef {{bytes: number[], logprob: number, top: {bytes: number[], logprob: number}[]}} Token
 * @typedef {{id: string, name: string, arguments: string}} Call
 * @typedef {{id: string, name: string, content: string}} Result
 * @typedef {object} Turn
 * @property {string} id
 * @property {string | null} parent id of the turn before; null for the first one
 * @property {string[]} children ids of the turns that follow, in the order of their creation
 * @property {string | null} chosen the child on the shown path
 * @property {"system" | "user" | "assistant" | "tool"} role
 * @property {string} group
 * @property {string} content
 *
 * @typedef {object} Conversation
 * @property {string} id
 * @property {"chat" | "fim" | "embeddings"} kind
 * @property {string} title
 * @property {number} created milliseconds since 1970
 * @property {number} updated milliseconds since 1970
 * @property {object} settings
 * @property {Record<string, Turn>} turns
 * @property {string[]} children ids of the first turns
 * @property {string | null} chosen
 */

const LONGEST_TITLE = 48;

/** Return a random identifier. */
export function newId() {
  const bytes = crypto.getRandomValues(new Uint8Array(12));
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
}

/** @returns {Conversation} an empty conversation */
export function newConversation(kind, settings, title = "") {
  const now = Date.now();
  return { id: newId(), kind, title, created: now, updated: now, settings, turns: {}, children: [], chosen: null };
}

/** Return the owner of a turn's siblings: its parent, or the conversation. */
function ownerOf(conversation, parent) {
  return parent === null ? conversation : conversation.turns[parent];
}

/** Add a turn after `parent` and show it. */
export function addTurn(conversation, parent, turn) {
  const id = newId();
  const added = { group: id, content: "", ...turn, id, parent, children: [], chosen: null };
  conversation.turns[id] = added;
  const owner = ownerOf(conversation, parent);
  owner.children.push(id);
  owner.chosen = id;
  return added;
}

/** Show a turn: choose it and all turns before it. */
export function choose(conversation, id) {
  for (let turn = conversation.turns[id]; turn; turn = conversation.turns[turn.parent]) {
    ownerOf(conversation, turn.parent).chosen = turn.id;
  }
}

/** Remove a turn and everything after it. Its neighbour takes its place on the shown path. */
export function removeTurn(conversation, id) {
  const turn = conversation.turns[id];
  const owner = ownerOf(conversation, turn.parent);
  const place = owner.children.indexOf(id);
  owner.children.splice(place, 1);
  if (owner.chosen === id) {
    owner.chosen = owner.children[Math.max(0, place - 1)] ?? null;
  }
  const doomed = [id];
  while (doomed.length) {
    const next = doomed.pop();
    doomed.push(...conversation.turns[next].children);
    delete conversation.turns[next];
  }
}

/** Return the shown turns from the first to the last. */
export function pathOf(conversation) {
  const path = [];
  for (let id = conversation.chosen; id; id = conversation.turns[id].chosen) {
    path.push(conversation.turns[id]);
  }
  return path;
}

/** Return the turns from the first to the one with this id, which is included; none for null. */
export function pathTo(conversation, id) {
  const path = [];
  for (let turn = conversation.turns[id]; turn; turn = conversation.turns[turn.parent]) {
    path.unshift(turn);
  }
  return path;
}

/** Return the siblings of a turn by group: the branches at its place, each a list of turns side by side. */
export function branchesOf(conversation, turn) {
  const groups = new Map();
  for (const id of ownerOf(conversation, turn.parent).children) {
    const sibling = conversation.turns[id];
    groups.set(sibling.group, [...(groups.get(sibling.group) ?? []), sibling]);
  }
  return [...groups.values()];
}

/** Return the messages of turns as the API takes them. */
export function messagesOf(turns, system) {
  const messages = turns.flatMap(turnMessages);
  return system ? [{ role: "system", content: system }, ...messages] : messages;
}

function turnMessages(turn) {
  if (turn.role === "tool") {
    return turn.results.map(({ id, name, content }) => ({
      role: "tool",
      ...(id && { tool_call_id: id }),
      ...(name && { name }),
      content,
    }));
  }
  if (turn.role === "assistant" && turn.calls?.length) {
    return [{ role: "assistant", content: turn.content, tool_calls: turn.calls.map(callMessage) }];
  }
  return [{ role: turn.role, content: turn.content }];
}

function callMessage(call) {
  return { id: call.id, type: "function", function: { name: call.name, arguments: call.arguments } };
}

/** Return the title of a conversation: its own, or the beginning of its first turn. */
export function titleOf(conversation) {
  if (conversation.title) {
    return conversation.title;
  }
  const first = Object.values(conversation.turns).find((turn) => turn.role === "user" && turn.parent === null);
  const text = textOf(first?.content ?? beginningOf(conversation.input))
    .trim()
    .split("\n")[0];
  const kinds = { chat: "New conversation", fim: "New code", embeddings: "New texts" };
  return text.length > LONGEST_TITLE ? `${text.slice(0, LONGEST_TITLE - 1)}…` : text || kinds[conversation.kind];
}

/** Return a code with its cursor, with the line ends of a text area: a cursor counts each as one character. */
export function codeInput(text, start = text.length, end = start) {
  const lines = (part) => part.replaceAll(/\r\n?/g, "\n");
  const before = lines(text.slice(0, start));
  const selected = lines(text.slice(start, end));
  const after = before.length + selected.length;
  return { text: before + selected + lines(text.slice(end)), start: before.length, end: after };
}

function beginningOf(input) {
  return input?.texts?.find((text) => text.trim()) ?? input?.text ?? "";
}

/** Return the content of a message that comes from outside: a text, or chunks of it; null if it is neither. */
export function readContent(content) {
  const isChunk = (chunk) => typeof chunk?.type === "string" && typeof (chunk.text ?? "") === "string";
  return typeof content === "string" || (Array.isArray(content) && content.every(isChunk)) ? content : null;
}

/** Return the text of a message's content, which is a text or a list of chunks. */
export function textOf(content) {
  if (typeof content === "string") {
    return content;
  }
  return content.map((chunk) => chunk.text ?? `[${chunk.type}]`).join("");
}
