/**
 * The tokens of an answer and their places in its text.
 *
 * Tokens are bytes, and a character of several bytes may span tokens: such tokens share one cell.
 */

const LEAST = Math.log(100);
const CONTROL = /^(<\|[^<>|]*\|>|<｜[^<>｜]*｜>|<\/s>|<eos>|<end_of_turn>)$/;
const SPACES = [9, 10, 13, 32];
const encoder = new TextEncoder();

/**
 * Return the cells of texts: pieces of text with the tokens that they were written by.
 *
 * Tokens without a place in the texts, such as control tokens, are left out. Text without tokens has cells without
 * tokens.
 *
 * @param {import("./conversation.js").Token[]} tokens
 * @param {{text: string, given: number}[]} texts texts of the answer in their order; the first `given` UTF-16 units
 *   of each were no tokens of the answer
 * @returns {{text: string, start: number, end: number, offset: number}[][]} the cells of each text: tokens from
 *   `start` to `end`, and the place of the cell in the text's bytes
 */
export function cellsOf(tokens, texts) {
  const found = [];
  let next = 0;
  for (const { text, given } of texts) {
    const bytes = encoder.encode(text);
    const places = [];
    next = place(tokens, next, bytes, encoder.encode(text.slice(0, given)).length, places);
    found.push(cut(bytes, places));
  }
  return found;
}

/** Find the places of tokens in the bytes of a text, and return the index of the first token after it. */
function place(tokens, first, bytes, start, places) {
  let position = start;
  let skipped = 0;
  let index = first;
  for (; index < tokens.length && position < bytes.length; index += 1) {
    const token = trimmed(tokens[index].bytes, bytes, position);
    const at = find(bytes, token, position, position + 3 * skipped);
    if (at < 0) {
      skipped += token.length;
      continue;
    }
    skipped = 0;
    position = Math.min(at + token.length, bytes.length);
    places.push({ index, start: at, end: position });
  }
  return index;
}

/** Return the bytes of a token without the white space that the beginning of a text has lost. */
function trimmed(token, bytes, position) {
  if (position > 0 || (token.length && token[0] === bytes[0])) {
    return token;
  }
  const begin = token.findIndex((byte) => !SPACES.includes(byte));
  return begin < 0 ? [] : token.slice(begin);
}

/** Return the place of a token between two places; -1 if it has none. Its end may be cut by the end of the text. */
function find(bytes, token, from, to) {
  for (let at = from; token.length && at <= to && at < bytes.length; at += 1) {
    const length = Math.min(token.length, bytes.length - at);
    let same = 0;
    while (same < length && bytes[at + same] === token[same]) {
      same += 1;
    }
    if (same === length) {
      return at;
    }
  }
  return -1;
}

/** Cut the bytes of a text into cells, which end between characters. */
function cut(bytes, places) {
  const decoder = new TextDecoder();
  const cells = [];
  let position = 0;
  const add = (end, start, stop) => {
    if (end > position) {
      cells.push({ text: decoder.decode(bytes.subarray(position, end)), start, end: stop, offset: position });
      position = end;
    }
  };
  for (let at = 0; at < places.length; at += 1) {
    add(places[at].start, places[at].index, places[at].index);
    const first = places[at].index;
    while (isInside(bytes, places[at].end) && places[at + 1]?.start === places[at].end) {
      at += 1;
    }
    let end = places[at].end;
    while (isInside(bytes, end)) {
      end += 1;
    }
    add(end, first, places[at].index + 1);
  }
  add(bytes.length, 0, 0);
  return cells;
}

/** True for a place within a character. */
function isInside(bytes, at) {
  return at < bytes.length && (bytes[at] & 0xc0) === 0x80;
}

/** Return the log-probability of all tokens from `start` to `end` together. */
export function logprobOf(tokens, start, end) {
  return tokens.slice(start, end).reduce((sum, token) => sum + token.logprob, 0);
}

/** Return the strength of the colour of a log-probability: 0 for certain, 1 for one percent and less. */
export function strengthOf(logprob) {
  return Math.min(1, Math.max(0, -logprob / LEAST));
}

/**
 * Return the text of an answer up to a token, followed by another token in its place.
 *
 * @param {string} text the answer
 * @param {{start: number, offset: number}} cell the cell of the token
 * @param {number} index index of the token
 * @param {number[]} bytes bytes of the other token
 * @returns {string | null} null if the text would end within a character
 */
export function textUpTo(tokens, text, cell, index, bytes) {
  const before = tokens.slice(cell.start, index).flatMap((token) => token.bytes);
  const whole = [...encoder.encode(text).subarray(0, cell.offset), ...lead(tokens, cell, text, before), ...bytes];
  try {
    return new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(new Uint8Array(whole));
  } catch {
    return null;
  }
}

/** Return the tokens' bytes of a cell, without the white space that the beginning of a text has lost. */
function lead(tokens, cell, text, before) {
  return cell.offset > 0 ? before : trimmed(before, encoder.encode(text), 0);
}

/** Return the text of a token with its white space made visible, or its bytes if it is no text. */
export function spelled(bytes) {
  try {
    const text = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(new Uint8Array(bytes));
    return text.replaceAll("\n", "↵").replaceAll("\t", "⇥").replaceAll(" ", "·") || "(empty)";
  } catch {
    return bytes.map((byte) => byte.toString(16).padStart(2, "0").toUpperCase()).join(" ");
  }
}

/** True for the spelling of a control token, such as the end of an answer. No answer can be continued from one. */
export function isControl(bytes) {
  return CONTROL.test(new TextDecoder().decode(new Uint8Array(bytes)));
}

/** Return a probability for display, such as `12.3%`. */
export function percent(logprob) {
  const share = 100 * Math.exp(logprob);
  return share >= 0.05 || share === 0 ? `${share.toFixed(1)}%` : "<0.1%";
}
