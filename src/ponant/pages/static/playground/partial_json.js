/**
 * The beginning of a JSON document as a value.
 *
 * @typedef {object} PartialDocument
 * @property {unknown} value the value so far; undefined before its first character
 * @property {boolean} complete true if the document has ended
 * @property {Set<string>} open JSON pointers of the values that have not ended
 * @property {string | null} error reason why no JSON document begins like this
 */

const SPACE = /[ \t\n\r]*/y;
const NUMBER = /-?(0|[1-9]\d*)(\.\d+)?([eE][+-]?\d+)?/y;
const NUMBER_SO_FAR = /-?(0|[1-9]\d*)?(\.\d*)?([eE][+-]?\d*)?/y;
const STRING = /"((?:[^"\\\u0000-\u001f]|\\(?:["\\/bfnrt]|u[0-9a-fA-F]{4}))*)"/y;
const STRING_SO_FAR = /"((?:[^"\\\u0000-\u001f]|\\(?:["\\/bfnrt]|u[0-9a-fA-F]{4}))*)(?:\\(?:u[0-9a-fA-F]{0,3})?)?/y;
const WORDS = { true: true, false: false, null: null };

class End extends Error {}

/** @returns {PartialDocument} */
export function readPartial(text) {
  const reader = new Reader(text);
  try {
    reader.read("", (value) => {
      reader.value = value;
    });
    reader.skipSpace();
    return reader.found(reader.at < text.length ? "there is text after the document" : null, true);
  } catch (error) {
    return reader.found(error instanceof End ? null : error.message, false);
  }
}

/** Return the JSON pointer of a member or an item. */
export function pointerTo(pointer, name) {
  return `${pointer}/${String(name).replaceAll("~", "~0").replaceAll("/", "~1")}`;
}

class Reader {
  constructor(text) {
    this.text = text;
    this.at = 0;
    this.value = undefined;
    this.open = new Set();
  }

  found(error, complete) {
    return { value: this.value, complete: complete && !error, open: this.open, error };
  }

  /** Read a value. `put` receives it as soon as it begins, and again when it has grown. */
  read(pointer, put) {
    this.open.add(pointer);
    this.skipSpace();
    const first = this.peek();
    if (first === "{") {
      this.readObject(pointer, put);
    } else if (first === "[") {
      this.readArray(pointer, put);
    } else if (first === '"') {
      this.readString(put);
    } else {
      this.readWord(pointer, put);
    }
    this.open.delete(pointer);
  }

  readObject(pointer, put) {
    const members = {};
    put(members);
    this.at += 1;
    this.skipSpace();
    for (let isFirst = true; this.peek() !== "}"; isFirst = false) {
      this.separate(isFirst);
      if (this.peek() !== '"') {
        throw this.fault("a name in quotes");
      }
      let name = "";
      this.readString((read) => {
        name = read;
      });
      this.skipSpace();
      this.expect(":");
      this.read(pointerTo(pointer, name), (value) => {
        Object.defineProperty(members, name, { value, enumerable: true, configurable: true, writable: true });
      });
      this.skipSpace();
    }
    this.at += 1;
  }

  readArray(pointer, put) {
    const items = [];
    put(items);
    this.at += 1;
    this.skipSpace();
    for (let index = 0; this.peek() !== "]"; index += 1) {
      this.separate(index === 0);
      this.read(pointerTo(pointer, index), (value) => {
        items[index] = value;
      });
      this.skipSpace();
    }
    this.at += 1;
  }

  readString(put) {
    const whole = this.match(STRING);
    if (whole) {
      put(JSON.parse(whole[0]));
      return;
    }
    const part = this.match(STRING_SO_FAR);
    if (this.at < this.text.length) {
      throw this.fault("a character of a string");
    }
    put(JSON.parse(`"${part[1]}"`));
    throw new End();
  }

  readWord(pointer, put) {
    const rest = this.text.slice(this.at);
    for (const [word, value] of Object.entries(WORDS)) {
      if (rest.startsWith(word)) {
        this.at += word.length;
        put(value);
        return;
      }
      if (word.startsWith(rest)) {
        put(value);
        throw new End();
      }
    }
    this.readNumber(pointer, put);
  }

  /** Read a number. One at the end of the text may continue, except for one that is a document. */
  readNumber(pointer, put) {
    const begin = this.at;
    const part = this.match(NUMBER_SO_FAR)[0];
    const ended = this.at === this.text.length;
    this.at = begin;
    const whole = this.match(NUMBER);
    if (part && ended && (pointer || whole?.[0] !== part)) {
      put(Number.parseFloat(part) || 0);
      throw new End();
    }
    if (!whole) {
      throw this.fault("a value");
    }
    put(Number(whole[0]));
  }

  separate(isFirst) {
    if (!isFirst) {
      this.expect(",");
      this.skipSpace();
      this.peek();
    }
  }

  expect(character) {
    if (this.peek() !== character) {
      throw this.fault(`“${character}”`);
    }
    this.at += 1;
  }

  /** Return the next character. The document may end before every one. */
  peek() {
    if (this.at >= this.text.length) {
      throw new End();
    }
    return this.text[this.at];
  }

  skipSpace() {
    this.match(SPACE);
  }

  match(pattern) {
    pattern.lastIndex = this.at;
    const found = pattern.exec(this.text);
    this.at += found ? found[0].length : 0;
    return found;
  }

  fault(expected) {
    return new Error(`character ${this.at + 1} is not ${expected}`);
  }
}
