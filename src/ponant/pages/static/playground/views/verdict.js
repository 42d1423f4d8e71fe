// The server's verdict on a schema: it checks a request for an answer without tokens, and computes nothing.

import { html, useEffect, useState } from "../../lib/ui.js";
import { call, mayCall } from "../../lib/api.js";
import { CHAT } from "../request.js";
import { readObject } from "../settings.js";

const WAIT = 350;
const MESSAGES = [{ role: "user", content: "." }];

/**
 * Return the verdict on a JSON text, a while after its last change.
 *
 * @param {string} model
 * @param {string} text
 * @param {(schema: object) => object} fieldsOf fields of a request with the schema
 * @returns {{state: "waiting" | "accepted" | "refused" | "unknown", message: string}}
 */
export function useVerdict(model, text, fieldsOf) {
  const [verdict, setVerdict] = useState({ state: "waiting", message: "" });
  useEffect(() => {
    let fields;
    try {
      fields = fieldsOf(readObject(text));
    } catch (error) {
      setVerdict({ state: "refused", message: `No JSON object: ${error.message}` });
      return undefined;
    }
    const controller = new AbortController();
    setVerdict({ state: "waiting", message: "The server checks this schema…" });
    const timer = setTimeout(async () => setVerdict(await ask(model, fields, controller.signal)), WAIT);
    return () => {
      clearTimeout(timer);
      controller.abort();
    };
  }, [model, text]);
  return verdict;
}

async function ask(model, fields, signal) {
  if (!model || !mayCall()) return { state: "unknown", message: "Not checked: there is no model to ask." };
  try {
    await call("POST", CHAT, { json: { model, messages: MESSAGES, max_tokens: 0, ...fields }, signal });
    return { state: "accepted", message: "" };
  } catch (error) {
    if (error.name === "AbortError") return { state: "waiting", message: "" };
    const isRefused = error.status === 400 || error.status === 422;
    return {
      state: isRefused ? "refused" : "unknown",
      message: isRefused ? error.message : `Not checked: ${error.message}`,
    };
  }
}

export function Verdict({ verdict: { state, message }, accepted }) {
  const marks = { accepted: "✓", refused: "✗" };
  const classes = { accepted: "verdict valid", refused: "verdict invalid" };
  return html`
    <p class=${classes[state] ?? "verdict"} role="status">
      <span aria-hidden="true">${marks[state] ?? "…"}</span> ${state === "accepted" ? accepted : message}
    </p>
  `;
}
