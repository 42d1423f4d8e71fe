/**
 * The check of a JSON document against a schema while the document is written.
 *
 * @typedef {object} Verdict
 * @property {"empty" | "valid so far" | "valid" | "invalid" | "cut off" | "unknown"} state
 * @property {string} message
 */

import { Validator } from "/pages/vendor/json-schema/index.js";
import { readPartial } from "./partial_json.js";

const DRAFTS = [
  ["draft-04", "4"],
  ["draft-06", "7"],
  ["draft-07", "7"],
  ["2019-09", "2019-09"],
];
const UNDECIDED = /\/(anyOf|oneOf|not|if|then|else|contains|dependentSchemas|dependencies)(\/|$)/;
const NEVER_MENDED = ["maxItems", "maxProperties", "maxLength", "propertyNames"];
const CONTAINERS = [
  ...["$ref", "$recursiveRef", "allOf", "properties", "patternProperties", "additionalProperties"],
  ...["items", "prefixItems", "additionalItems", "dependentSchemas", "dependencies", "if"],
];

/** Checks documents against one schema. */
export class SchemaCheck {
  /**
   * @param {object | null} schema null for any object
   * @throws {Error} if the schema cannot be read
   */
  constructor(schema) {
    const read = schema ?? { type: "object" };
    const named = String(read.$schema ?? "");
    const draft = DRAFTS.find(([part]) => named.includes(part))?.[1] ?? "2020-12";
    this.validator = new Validator(structuredClone(read), draft, false);
  }

  /**
   * Check the beginning of a document.
   *
   * @param {string} text the document so far
   * @param {boolean} ended true if nothing follows
   * @returns {Verdict}
   */
  check(text, ended) {
    const document = readPartial(text);
    if (document.error) {
      return { state: "invalid", message: `No JSON: ${document.error}.` };
    }
    if (document.value === undefined) {
      return { state: ended ? "cut off" : "empty", message: ended ? "There is no document." : "No document yet." };
    }
    let faults;
    try {
      faults = this.faults(document);
    } catch (error) {
      return { state: "unknown", message: `Not checked: ${error.message.split("\n")[0]}` };
    }
    if (faults.length) {
      return { state: "invalid", message: described(faults[0]) };
    }
    if (document.complete) {
      return { state: "valid", message: "Satisfies the schema." };
    }
    return ended
      ? { state: "cut off", message: "Cut off: the document is incomplete." }
      : { state: "valid so far", message: "Valid so far." };
  }

  /** Return the faults of a document. In an incomplete one, these are the faults that no continuation mends. */
  faults(document) {
    const { errors } = this.validator.validate(document.value);
    const final = errors.filter((error, index) => document.complete || isFinal(error, errors[index - 1], document));
    const causes = final.filter((error) => !CONTAINERS.includes(error.keyword));
    return causes.length ? causes : final;
  }
}

/** True for an error that no continuation of an incomplete document mends. */
function isFinal(error, previous, document) {
  if (error.keyword === "false") {
    return Boolean(previous) && !UNDECIDED.test(previous.keywordLocation);
  }
  if (UNDECIDED.test(error.keywordLocation.replace(/\/(anyOf|oneOf|not|if|contains)$/, ""))) {
    return false;
  }
  if (!document.open.has(pointerOf(error))) {
    return true;
  }
  return NEVER_MENDED.includes(error.keyword) || (error.keyword === "type" && !/"(integer|number)"/.test(error.error));
}

function pointerOf(error) {
  return decodeURIComponent(error.instanceLocation.slice(1));
}

function described(error) {
  const reason = error.keyword === "false" ? "This member or item is not allowed." : error.error;
  return `${pointerOf(error) || "The document"}: ${reason}`;
}
