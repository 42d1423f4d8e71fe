// The fragment of the page's address: a request, or the models to start with. Browsers do not send it to servers.

/** Return the address of the playground with a request in its fragment. */
export function linkTo(request) {
  return `${location.origin}/playground#request=${encoded(JSON.stringify(request))}`;
}

/**
 * Read a fragment.
 *
 * @param {string} fragment such as `#request=…`, or `#model=a&beside=b`
 * @returns {{request: import("./request.js").Request} | {model: string, beside: string, kind: string} | null} null
 *   for an empty fragment
 * @throws {Error} if the request is unreadable
 */
export function readFragment(fragment) {
  const fields = new URLSearchParams(fragment.replace(/^#/, ""));
  if (fields.has("request")) {
    const request = JSON.parse(decoded(fields.get("request")));
    if (typeof request?.path !== "string" || typeof request.body !== "object" || request.body === null) {
      throw new Error("a request has a path and a body");
    }
    return { request };
  }
  const [model, beside, kind] = ["model", "beside", "kind"].map((name) => fields.get(name) ?? "");
  return model || beside || kind ? { model, beside, kind } : null;
}

/** Return a text in the alphabet of base64url, which links keep as it is. */
function encoded(text) {
  const bytes = new TextEncoder().encode(text);
  const characters = Array.from(bytes, (byte) => String.fromCharCode(byte)).join("");
  return btoa(characters).replaceAll("+", "-").replaceAll("/", "_").replaceAll("=", "");
}

function decoded(text) {
  const characters = atob(text.replaceAll("-", "+").replaceAll("_", "/"));
  return new TextDecoder("utf-8", { fatal: true }).decode(Uint8Array.from(characters, (one) => one.charCodeAt(0)));
}
