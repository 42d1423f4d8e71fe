// The similarities of texts as a table whose cells are coloured.

import { html } from "../../lib/ui.js";
import { rangeOf } from "../similarity.js";

/** `facts`: dimensions, tokens, and milliseconds of the request. */
export function HeatMap({ texts, matrix, facts }) {
  const range = rangeOf(matrix);
  return html`
    <figure class="heat">
      <figcaption class="measures number">
        <span>${texts.length} ${texts.length === 1 ? "vector" : "vectors"}</span>
        <span>${facts.dimensions} dimensions</span>
        <span>${facts.tokens} tokens</span>
        <span>${Math.round(facts.milliseconds)} ms</span>
      </figcaption>
      <div class="scroll" tabindex="0" role="region" aria-label="Similarities">
        <table>
          <caption class="hidden">
            Cosine of each two texts
          </caption>
          <thead>
            <tr>
              <th scope="col"><span class="hidden">Text</span></th>
              ${texts.map(
                (text, place) => html`<th key=${place} scope="col" class="number" title=${text}>${place + 1}</th>`,
              )}
            </tr>
          </thead>
          <tbody>
            ${matrix.map(
              (row, place) => html`
                <tr key=${place}>
                  <th scope="row" title=${texts[place]}>
                    <span class="heat-text">${place + 1}. ${texts[place]}</span>
                  </th>
                  ${row.map(
                    (value, column) => html`
                      <${Cell}
                        key=${column}
                        value=${value}
                        range=${range}
                        texts=${texts}
                        ...${{ row: place, column }}
                      />
                    `,
                  )}
                </tr>
              `,
            )}
          </tbody>
        </table>
      </div>
    </figure>
  `;
}

function Cell({ value, range, texts, row, column }) {
  if (row === column) return html`<td class="heat-cell number same">1</td>`;
  const strength = (value - range.least) / (range.most - range.least || 1);
  return html`<td
    class="heat-cell number"
    title="${texts[row]}
${texts[column]}"
    data-value=${value}
    style=${{ "--strength": strength.toFixed(3) }}
  >
    ${value.toFixed(2)}
  </td>`;
}
