// Calls of the API. The key stays in the session storage of this tab: it is in no address and in no other storage.

import { ofTab } from "./storage.js";

const KEY = "ponant-key";
const changes = new EventTarget();

/**
 * @typedef {{version: string, keys: boolean, environments: Object<string, string>}} Facts
 * Facts about the server: its version, whether the API needs a key, and the addresses of further servers by name.
 */

/** @type {Facts} */
export const facts = await readFacts();

async function readFacts() {
  try {
    return await (await fetch("/pages/server.json")).json();
  } catch {
    return { version: "", keys: false, environments: {} };
  }
}

/** Return the key, or an empty string. */
export function getKey() {
  return ofTab.getItem(KEY) ?? "";
}

/** Set the key; an empty string removes it. */
export function setKey(key) {
  if (key) ofTab.setItem(KEY, key);
  else ofTab.removeItem(KEY);
  changes.dispatchEvent(new Event("key"));
}

/** Call a function after each change of the key. Returns the function that ends this. */
export function onKey(listener) {
  changes.addEventListener("key", listener);
  return () => changes.removeEventListener("key", listener);
}

/** Call a function after each request that the server refused for its key. Returns the function that ends this. */
export function onRefusedKey(listener) {
  changes.addEventListener("refused", listener);
  return () => changes.removeEventListener("refused", listener);
}

/** True if requests can succeed: the server has no keys, or there is one to send. */
export function mayCall() {
  return !facts.keys || getKey() !== "";
}

/**
 * Error that the API answered, or the lack of an answer.
 *
 * `status`: HTTP status; 0 without an answer, and for an error within a stream.
 * `type`: type of the error, such as `invalid_request_error`.
 * `param`: field that is wrong, or null.
 * `body`: the body of the answer, or null.
 */
export class ApiError extends Error {
  constructor(message, { status = 0, type = "", param = null, body = null } = {}) {
    super(message);
    this.name = "ApiError";
    Object.assign(this, { status, type, param, body });
  }

  /** Return the error of a response. */
  static async of(response) {
    const body = await response.json().catch(() => null);
    return ApiError.ofBody(body, response.status, response.statusText);
  }

  /** Return the error that a body describes, in any of the API's shapes. */
  static ofBody(body, status = 0, otherwise = "") {
    const error = body?.error && typeof body.error === "object" ? body.error : body;
    const { type = "", param = null } = error ?? {};
    return new ApiError(messageOf(error, status) || otherwise || `Status ${status}`, { status, type, param, body });
  }
}

function messageOf(error, status) {
  if (status === 401) return "The server refuses the key. Enter a valid one.";
  const said = error?.message ?? error?.detail;
  const details = said?.detail ?? said;
  if (Array.isArray(details)) return details.map(messageOfDetail).join("; ");
  return typeof details === "string" ? details : "";
}

function messageOfDetail({ loc = [], msg = "" }) {
  const place = loc.filter((part) => part !== "body").join(".");
  return place ? `${place}: ${msg}` : msg;
}

/**
 * Call the API and return its response. Throws ApiError for an error, and AbortError after an abort.
 *
 * @param {string} method
 * @param {string} path such as `/v1/models`
 * @param {{query?: Object, json?: any, form?: FormData, headers?: Object, signal?: AbortSignal}} options
 */
export async function call(method, path, { query, json, form, headers, signal } = {}) {
  const address = new URL(path, location.origin);
  for (const [name, value] of Object.entries(query ?? {})) {
    if (value !== undefined && value !== null) address.searchParams.set(name, value);
  }
  const sent = { ...headers };
  if (getKey()) sent.authorization = `Bearer ${getKey()}`;
  if (json !== undefined) sent["content-type"] = "application/json";
  const body = json === undefined ? form : JSON.stringify(json);
  let response;
  try {
    response = await fetch(address, { method, headers: sent, body, signal, cache: "no-store" });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new ApiError("The server does not answer. Check that it runs, then try again.");
  }
  if (response.ok) return response;
  if (response.status === 401) changes.dispatchEvent(new Event("refused"));
  throw await ApiError.of(response);
}

/** Return the JSON of a GET request. */
export async function getJson(path, options) {
  return (await call("GET", path, options)).json();
}

/** Return the JSON of a POST request with a JSON body. */
export async function postJson(path, json, options) {
  return (await call("POST", path, { ...options, json })).json();
}

/**
 * Yield the chunks of a streamed answer as they arrive. Leaving the loop, and an abort, end the request.
 *
 * @param {string} path
 * @param {Object} json body; `stream: true` is added
 * @param {{signal?: AbortSignal, headers?: Object}} options
 */
export async function* streamed(path, json, options) {
  const response = await call("POST", path, { ...options, json: { ...json, stream: true } });
  for await (const data of events(response)) {
    if (data === "[DONE]") return;
    const chunk = JSON.parse(data);
    if (chunk.object === "error" || chunk.error) throw ApiError.ofBody(chunk);
    yield chunk;
  }
  brokenOff();
}

/** Throw the error of a stream without an end, or the abort that ended it. */
function brokenOff(error) {
  if (error?.name === "AbortError") throw error;
  throw new ApiError("The stream broke off. Send the request again.");
}

/** Yield the data of the server-sent events of a response. */
async function* events(response) {
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  try {
    for (;;) {
      const { value, done } = await reader.read().catch(brokenOff);
      if (done) return;
      const blocks = (rest + value).split(/\r?\n\r?\n/);
      rest = blocks.pop();
      for (const block of blocks) {
        const lines = block.split(/\r?\n/).filter((line) => line.startsWith("data:"));
        if (lines.length) yield lines.map((line) => line.slice(5).replace(/^ /, "")).join("\n");
      }
    }
  } finally {
    reader.cancel().catch(() => {});
  }
}
