// The choice of a dataset among the uploaded files, and the upload of a new one.

import { getJson } from "../lib/api.js";
import { counted } from "../lib/format.js";
import { html, useState } from "../lib/ui.js";
import { upload, UploadButton } from "../status/files.js";

const MOST = 100;

/** Return the last files for fine-tuning, the newest first. */
export async function readDatasets(signal) {
  return (await getJson("/v1/files", { query: { purpose: "fine-tune", page_size: MOST }, signal })).data;
}

/**
 * Field for a dataset, on which a file can be dropped.
 *
 * `label`: its name; `value`: id of the chosen file; `choose`: called with another id; `datasets`: the files; `added`:
 * called with the description of an uploaded file; `failed`: called with an error; `optional`: true to allow none.
 */
export function DatasetField({ label, name, value, choose, datasets, added, failed, optional = false }) {
  const [isOver, setOver] = useState(false);
  const send = async (file) => {
    try {
      const uploaded = await upload(file);
      await added(uploaded);
      choose(uploaded.id);
    } catch (error) {
      failed(error);
    }
  };
  const drop = (event) => {
    event.preventDefault();
    setOver(false);
    if (event.dataTransfer.files[0]) send(event.dataTransfer.files[0]);
  };
  const over = (event) => {
    event.preventDefault();
    setOver(true);
  };
  return html`
    <div
      class="whole drop ${isOver ? "over" : ""}"
      onDragOver=${over}
      onDragLeave=${() => setOver(false)}
      onDrop=${drop}
    >
      <label for=${name}>${label}</label>
      <div class="choice">
        <select id=${name} value=${value} required=${!optional} onChange=${(event) => choose(event.target.value)}>
          <option value="">${optional ? "None" : "Choose a file"}</option>
          ${datasets.map((file) => html`<option key=${file.id} value=${file.id}>${nameOf(file)}</option>`)}
        </select>
        <${UploadButton} upload=${send} accept=".jsonl,.json,.txt">Upload ${label.toLowerCase()}<//>
      </div>
    </div>
  `;
}

function nameOf({ filename, num_lines: lines }) {
  return lines === null || lines === undefined ? filename : `${filename} (${counted(lines, "line")})`;
}
