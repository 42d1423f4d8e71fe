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

/** Return the documents that the server has. */
export async function loadDocuments() {
  const loaded = await Promise.all(DOCUMENTS.map(load));
  return loaded.filter(Boolean);
}

async function load({ slug, title, path }) {
  const response = await fetch(path);
  if (!response.ok) return null;
  const content = await response.json();
  nameSamples(content);
  return { slug, title, content };
}

/** Return a source whose samples call another of its servers. */
export function forServer(source, address) {
  const [own] = source.content.servers ?? [];
  if (!own || own.url === address || !Object.values(facts.environments).some((other) => address.startsWith(other))) {
    return source;
  }
  const content = structuredClone(source.content);
  for (const operation of operations(content)) {
    for (const sample of operation["x-codeSamples"] ?? []) {
      sample.source = sample.source.replaceAll(own.url, address);
    }
  }
  return { ...source, content };
}

/** Return the part of a page's address that names an operation. */
export function slugOf({ operationId, method, path }) {
  return operationId ?? `${method}${path}`;
}

/** Put the language before the library in the names of samples. */
function nameSamples(content) {
  for (const sample of operations(content).flatMap((operation) => operation["x-codeSamples"] ?? [])) {
    sample.label = `${LANGUAGES[sample.lang] ?? sample.lang} · ${sample.label}`;
    sample.source = sample.source.trimEnd();
  }
}

function operations(content) {
  return Object.values(content.paths).flatMap((path) =>
    METHODS.filter((method) => path[method]).map((method) => path[method]),
  );
}
