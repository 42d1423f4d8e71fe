// Markdown of a model.

import { Component, html } from "../../lib/ui.js";
import { safeHtml } from "../markdown.js";

/** Renders only when its text changes, as other answers may grow beside it. */
export class Markdown extends Component {
  shouldComponentUpdate({ text }) {
    return text !== this.props.text;
  }

  render({ text }) {
    return html`<div class="markdown" dangerouslySetInnerHTML=${{ __html: safeHtml(text) }}></div>`;
  }
}
