// The uploaded files: list, upload, download and deletion.

import { call, getJson } from "../lib/api.js";
import { ConfirmButton } from "../lib/confirm.js";
import { count, counted, moment, size } from "../lib/format.js";
import { Failure, html, useEffect, useRef, useState } from "../lib/ui.js";
import { download } from "./signed.js";

const SHOWN = 20;

/** Section of the files. `totals`: number and bytes of all files; a change of them reads the list again. */
export function Files({ totals }) {
  const [page, setPage] = useState(0);
  const [list, setList] = useState(null);
  const [error, setError] = useState(null);
  const read = async () => {
    try {
      const found = await getJson("/v1/files", { query: { page, page_size: SHOWN } });
      if (page && !found.data.length) setPage(Math.max(0, Math.ceil(found.total / SHOWN) - 1));
      setList(found);
    } catch (failure) {
      setError(failure);
    }
  };
  const doing = async (work) => {
    setError(null);
    try {
      await work();
    } catch (failure) {
      setError(failure);
    }
    await read();
  };
  useEffect(() => void read(), [page, totals?.count, totals?.bytes]);
  const last = list ? Math.max(0, Math.ceil(list.total / SHOWN) - 1) : 0;
  return html`
    <section>
      <div class="row section-head">
        <h2 id="files-title">Files</h2>
        <span class="muted">${totals ? `${counted(totals.count, "file")}, ${size(totals.bytes)}` : ""}</span>
        <${UploadButton} upload=${(file) => doing(() => upload(file))} />
      </div>
      <${Failure} error=${error} />
      ${list?.total === 0 && html`<p class="muted">None. Datasets for fine-tuning are JSON Lines files.</p>`}
      ${list?.total > 0 && html`<${Table} files=${list.data} doing=${doing} />`}
      ${last > 0 &&
      html`
        <div class="row end">
          <span class="muted">${page + 1} of ${last + 1}</span>
          <button type="button" class="small" disabled=${page === 0} onClick=${() => setPage(page - 1)}>
            Newer
          </button>
          <button type="button" class="small" disabled=${page === last} onClick=${() => setPage(page + 1)}>
            Older
          </button>
        </div>
      `}
    </section>
  `;
}

function Table({ files, doing }) {
  return html`
    <div class="scroll" tabindex="0" role="region" aria-labelledby="files-title">
      <table>
        <thead>
          <tr>
            <th scope="col">Name</th>
            <th scope="col" class="number">Lines</th>
            <th scope="col" class="number">Size</th>
            <th scope="col">Uploaded</th>
            <th scope="col"><span class="hidden">Actions</span></th>
          </tr>
        </thead>
        <tbody>
          ${files.map(
            (file) => html`
              <tr key=${file.id}>
                <td class="file-name" title=${file.id}>
                  ${file.filename}
                  <div class="muted small-text">${file.purpose}</div>
                </td>
                <td class="number">${count(file.num_lines)}</td>
                <td class="number nowrap">${size(file.bytes)}</td>
                <td class="nowrap">${moment(file.created_at)}</td>
                <td>
                  <div class="row actions">
                    <button
                      type="button"
                      class="small"
                      aria-label="Download ${file.filename}"
                      onClick=${() => doing(() => download(file))}
                    >
                      Download
                    </button>
                    <${ConfirmButton}
                      question="Really delete"
                      label=${file.filename}
                      action=${() => doing(() => call("DELETE", `/v1/files/${file.id}`))}
                    >Delete<//>
                  </div>
                </td>
              </tr>
            `,
          )}
        </tbody>
      </table>
    </div>
  `;
}

/** Button that chooses a file and hands it to `upload`. */
export function UploadButton({ upload: send, accept, children = "Upload a file" }) {
  const field = useRef(null);
  const [isSending, setSending] = useState(false);
  const chosen = async () => {
    const [file] = field.current.files;
    field.current.value = "";
    if (!file) return;
    setSending(true);
    await send(file);
    setSending(false);
  };
  return html`
    <button type="button" class="small" disabled=${isSending} onClick=${() => field.current.click()}>
      ${isSending ? "Uploading …" : children}
    </button>
    <input ref=${field} type="file" accept=${accept} hidden onChange=${chosen} aria-label=${children} />
  `;
}

/** Upload a file and return its description. */
export async function upload(file) {
  const form = new FormData();
  form.append("purpose", "fine-tune");
  form.append("file", file);
  return (await call("POST", "/v1/files", { form })).json();
}
