// The conversations of this browser, in IndexedDB, with a note to its other tabs for each change.

import { titleOf } from "./conversation.js";

const DATABASE = "ponant-playground";
const CONVERSATIONS = "conversations";
const channel = new BroadcastChannel(DATABASE);

let opened = null;

/** Return the conversations without their turns, the last changed first. */
export async function listConversations() {
  const found = await allConversations();
  return found.map(summaryOf).sort((one, other) => other.updated - one.updated);
}

/** Return all conversations with their turns. */
export async function allConversations() {
  return stored("readonly", (store) => store.getAll());
}

/** Return a conversation; undefined if it is not there. */
export async function loadConversation(id) {
  return stored("readonly", (store) => store.get(id));
}

/** Write a conversation. */
export async function saveConversation(conversation) {
  await stored("readwrite", (store) => store.put(conversation));
  channel.postMessage(conversation.id);
}

/** Remove a conversation. */
export async function deleteConversation(id) {
  await stored("readwrite", (store) => store.delete(id));
  channel.postMessage(id);
}

/** Call a function with the id of each conversation that another tab writes or removes. */
export function onOtherTab(listener) {
  channel.addEventListener("message", ({ data }) => listener(data));
}

/** Return what a list shows of a conversation. */
export function summaryOf(conversation) {
  const { id, kind, updated } = conversation;
  return { id, kind, updated, title: titleOf(conversation) };
}

/** Run a request in a transaction, and return its result when the browser has it on disk. */
async function stored(mode, request) {
  opened ??= open();
  try {
    const transaction = (await opened).transaction(CONVERSATIONS, mode);
    const asked = request(transaction.objectStore(CONVERSATIONS));
    await completed(transaction);
    return asked.result;
  } catch (error) {
    opened = null;
    throw error;
  }
}

async function open() {
  const request = indexedDB.open(DATABASE, 1);
  request.onupgradeneeded = () => request.result.createObjectStore(CONVERSATIONS, { keyPath: "id" });
  return new Promise((resolve, reject) => {
    request.onsuccess = () => resolve(request.result);
    request.onerror = () => reject(request.error);
  });
}

/** Wait for the end of a transaction: a full disk refuses it after its requests have succeeded. */
function completed(transaction) {
  return new Promise((resolve, reject) => {
    transaction.oncomplete = resolve;
    transaction.onabort = () => reject(transaction.error ?? new Error("the browser ended the transaction"));
  });
}
