// The conversations of this browser, in IndexedDB.

import { titleOf } from "./conversation.js";

const DATABASE = "ponant-playground";
const CONVERSATIONS = "conversations";

let opened;

/** Return the conversations without their turns, the last changed first. */
export async function listConversations() {
  const found = await finished((await store("readonly")).getAll());
  return found.map(summaryOf).sort((one, other) => other.updated - one.updated);
}

/** Return all conversations with their turns. */
export async function allConversations() {
  return finished((await store("readonly")).getAll());
}

/** Return a conversation; undefined if it is not there. */
export async function loadConversation(id) {
  return finished((await store("readonly")).get(id));
}

/** Write a conversation. */
export async function saveConversation(conversation) {
  await finished((await store("readwrite")).put(conversation));
}

/** Remove a conversation. */
export async function deleteConversation(id) {
  await finished((await store("readwrite")).delete(id));
}

/** Return what a list shows of a conversation. */
export function summaryOf(conversation) {
  const { id, kind, updated } = conversation;
  return { id, kind, updated, title: titleOf(conversation) };
}

async function store(mode) {
  opened ??= open();
  const database = await opened;
  return database.transaction(CONVERSATIONS, mode).objectStore(CONVERSATIONS);
}

function open() {
  const request = indexedDB.open(DATABASE, 1);
  request.onupgradeneeded = () => request.result.createObjectStore(CONVERSATIONS, { keyPath: "id" });
  return finished(request);
}

function finished(request) {
  return new Promise((resolve, reject) => {
    request.onsuccess = () => resolve(request.result);
    request.onerror = () => reject(request.error);
  });
}
