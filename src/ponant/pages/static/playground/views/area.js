// A text area with the height of its text.

import { html, useLayoutEffect, useRef } from "../../lib/ui.js";

/** `area`: a ref for the element, if it is needed outside; further properties are those of a text area. */
export function Area({ area, value, write, ...others }) {
  const own = useRef(null);
  const field = area ?? own;
  useLayoutEffect(() => {
    field.current.style.height = "auto";
    field.current.style.height = `${field.current.scrollHeight + 2}px`;
  }, [value]);
  return html`<textarea
    ref=${field}
    value=${value}
    onInput=${(event) => write(event.target.value)}
    ...${others}
  ></textarea>`;
}
