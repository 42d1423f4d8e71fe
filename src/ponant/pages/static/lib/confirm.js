// A button whose effect cannot be undone: its second press within a few seconds counts.

import { html, useEffect, useState } from "./ui.js";

const SECONDS = 4;

/**
 * `children`: the button's text; `question`: its text before the second press; `action`: called on the second one;
 * `label`: its name for screen readers, or nothing.
 */
export function ConfirmButton({ children, question, action, label, kind = "small" }) {
  const [isAsking, setAsking] = useState(false);
  useEffect(() => {
    if (!isAsking) return undefined;
    const timer = setTimeout(() => setAsking(false), SECONDS * 1000);
    return () => clearTimeout(timer);
  }, [isAsking]);
  const press = () => {
    setAsking(!isAsking);
    if (isAsking) action();
  };
  const name = label && `${isAsking ? question : children} ${label}`;
  return html`
    <button type="button" class="${kind} ${isAsking ? "asking" : ""}" onClick=${press} aria-label=${name}>
      ${isAsking ? question : children}
    </button>
  `;
}
