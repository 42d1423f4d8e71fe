// The documents of the reference: descriptions of the API, with samples for one server.

import { facts } from "../lib/api.js";

const DOCUMENTS = [
  { slug: "mistral", title: "Mistral API", path: "/openapi.json" },
  { slug: "nim", title: "NVIDIA NIM", path: "/nim/openapi.json" },
];
const LANGUAGES = { shell: "Shell", python: "Python", javascript: "JavaScript", java: "Java", swift: "Swift" };
const METHODS = ["get", "post", "put", "patch", "delete"];

/**
 * @typedef {{slug: string, title: string, content: Object}} Source
 * A document: the beginning of its addresses within the page, its name, and the OpenAPI document.
 */

/** Return the documents. */
export function loadDocuments() {
  return Promise.all(DOCUMENTS.map(load));
}

async function load({ slug, title, path }) {
  const response = await fetch(path);
  if (!response.ok) throw new Error(`status ${response.status} of ${path}`);
  const content = await response.json();
  const [own] = content.servers ?? [];
  if (own) changeServer(content, own, sameScheme(own.url));
  nameSamples(content);
  return { slug, title, content };
}

/** Return an address of this server with the scheme of the page, which a proxy in between may have changed. */
function sameScheme(address) {
  const url = new URL(address, location.origin);
  return url.host === location.host ? address.replace(url.origin, location.origin) : address;
}

/** Return a source whose samples call another of its servers. */
export function forServer(source, address) {
  const [own] = source.content.servers ?? [];
  if (!own || own.url === address || !Object.values(facts.environments).some((other) => address.startsWith(other))) {
    return source;
  }
  const content = structuredClone(source.content);
  rewriteSamples(content, own.url, address);
  return { ...source, content };
}

/** Change the address of one of a document's servers, also in its samples. */
function changeServer(content, server, address) {
  rewriteSamples(content, server.url, address);
  server.url = address;
}

function rewriteSamples(content, before, after) {
  for (const sample of samples(content)) sample.source = sample.source.replaceAll(before, after);
}

/** Return the part of a page's address that names an operation. */
export function slugOf({ operationId, method, path }) {
  return operationId ?? `${method}${path}`;
}

/** Put the language before the library in the names of samples. */
function nameSamples(content) {
  for (const sample of samples(content)) {
    sample.label = `${LANGUAGES[sample.lang] ?? sample.lang} · ${sample.label}`;
    sample.source = sample.source.trimEnd();
  }
}

function samples(content) {
  const operations = Object.values(content.paths).flatMap((path) => METHODS.map((method) => path[method]));
  return operations.flatMap((operation) => operation?.["x-codeSamples"] ?? []);
}
