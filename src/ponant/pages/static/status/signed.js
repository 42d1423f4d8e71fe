// Contents of files, by addresses that the server signs for a few hours and that need no key.

import { getJson } from "../lib/api.js";

/** Save a file on this computer. */
export async function download(file) {
  const link = document.createElement("a");
  link.href = await addressOf(file);
  link.download = file.filename;
  link.click();
}

/** Return the first bytes of a file as text. */
export async function beginningOf(file, bytes, signal) {
  if (!file.bytes) return "";
  const response = await fetch(await addressOf(file, signal), { headers: { range: `bytes=0-${bytes - 1}` }, signal });
  if (!response.ok) throw new Error(`The file cannot be read (status ${response.status})`);
  return response.text();
}

async function addressOf(file, signal) {
  const { url } = await getJson(`/v1/files/${file.id}/url`, { query: { expiry: 1 }, signal });
  const { pathname, search } = new URL(url); // a proxy may have another address than the server sees
  return pathname + search;
}
