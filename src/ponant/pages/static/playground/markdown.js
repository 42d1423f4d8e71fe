// Markdown of models as safe HTML: no scripts, no forms, and nothing that loads from another host.

import { Marked } from "/pages/vendor/marked.js";
import DOMPurify from "/pages/vendor/purify.js";

const TAGS = [
  ...["p", "br", "hr", "h1", "h2", "h3", "h4", "h5", "h6", "blockquote", "pre", "code", "em", "strong", "del"],
  ...["ul", "ol", "li", "table", "thead", "tbody", "tr", "th", "td", "a"],
];
const ATTRIBUTES = ["href", "title", "start", "align"];
const ADDRESSES = /^(?:https?|mailto):/i;
const LONGEST_EMPHASIS = 20000;
const escapes = { "&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;", "'": "&#39;" };

const marked = new Marked({
  gfm: true,
  tokenizer: { emStrong: emphasis, del: emphasis },
  renderer: {
    html: ({ text }) => escaped(text),
    image: ({ href, text }) => `<a href="${escaped(href)}">${escaped(text || href)}</a>`,
    checkbox: ({ checked }) => (checked ? "☑ " : "☐ "),
  },
});
const purifier = DOMPurify(window);

purifier.addHook("afterSanitizeAttributes", (node) => {
  if (node.nodeName !== "A") return;
  node.setAttribute("target", "_blank");
  node.setAttribute("rel", "noopener noreferrer nofollow");
});

/**
 * Leave emphasis to the library (`false`), but not in a longer paragraph (`undefined`: none), as its search takes a
 * time that grows with the square of the length.
 */
function emphasis(source) {
  return source.length > LONGEST_EMPHASIS ? undefined : false;
}

/**
 * Return the HTML of a Markdown text. HTML in the text is shown as it was written; images become links. A text that is
 * nested too deeply is shown as it was written.
 */
export function safeHtml(text) {
  return purifier.sanitize(parsed(text), {
    ALLOWED_TAGS: TAGS,
    ALLOWED_ATTR: ATTRIBUTES,
    ALLOWED_URI_REGEXP: ADDRESSES,
    ALLOW_ARIA_ATTR: false,
    ALLOW_DATA_ATTR: false,
  });
}

function parsed(text) {
  try {
    return marked.parse(text);
  } catch {
    return `<p>${escaped(text)}</p>`;
  }
}

function escaped(text) {
  return text.replace(/[&<>"']/g, (character) => escapes[character]);
}
