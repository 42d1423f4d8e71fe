// The form of a new job: files, model and hyperparameters.

import { postJson } from "../lib/api.js";
import { usePolled } from "../lib/polling.js";
import { Failure, html, useState } from "../lib/ui.js";
import { DatasetField, readDatasets } from "./datasets.js";
import { Verdict } from "./verdict.js";

const NUMBERS = [
  { name: "epochs", label: "Epochs", usual: "3", hint: "Passes over the data", min: 0.01, step: "any" },
  { name: "training_steps", label: "Steps", usual: "", hint: "Instead of epochs", min: 1, step: 1 },
  { name: "learning_rate", label: "Learning rate", usual: "0.0001", hint: "Its peak", min: 1e-8, max: 1, step: "any" },
  { name: "seq_len", label: "Sequence length", usual: "512", hint: "In tokens", min: 100, step: 1 },
];
const SKIPPED = "skipped";
const FURTHER = [
  { name: "weight_decay", label: "Weight decay", usual: "0.1", hint: "Of AdamW", min: 0, max: 1, step: "any" },
  { name: "warmup_fraction", label: "Warm-up", usual: "0.05", hint: "Share of the steps", min: 0, max: 1, step: "any" },
  {
    name: "fim_ratio",
    label: "Fill-in-the-middle",
    usual: "0.9",
    hint: "Share of code samples",
    min: 0,
    max: 1,
    step: "any",
  },
  { name: SKIPPED, label: "Invalid lines allowed", usual: "0", hint: "Percent, up to 50", min: 0, max: 50, step: "any" },
];

/** Form of a job. `models`: models that can be trained; `created`: called with a new job. */
export function NewJob({ models, created }) {
  const [files, setFiles] = useState({ training: "", validation: "" });
  const [verdict, setVerdict] = useState(null);
  const [error, setError] = useState(null);
  const [doing, setDoing] = useState("");
  const { data: datasets, again } = usePolled(readDatasets, { until: () => true });
  const change = (kind) => (id) => {
    setFiles((chosen) => ({ ...chosen, [kind]: id }));
    setVerdict(null);
  };
  const run = async (name, work) => {
    setDoing(name);
    setError(null);
    try {
      await work();
    } catch (failure) {
      setError(failure);
    }
    setDoing("");
  };
  const submit = (event) => {
    event.preventDefault();
    const job = jobOf(new FormData(event.target), files);
    if (event.submitter?.value === "check") {
      setVerdict(null);
      run("check", async () => setVerdict(await postJson("/v1/fine_tuning/jobs/verdict", job)));
    } else {
      run("create", async () => created(await postJson("/v1/fine_tuning/jobs", job)));
    }
  };
  const label = (name, idle, busy) => (doing === name ? busy : idle);
  const field = { datasets: datasets ?? [], added: again, failed: setError };
  return html`
    <section>
      <h2 id="new-title">New job</h2>
      <form onSubmit=${submit}>
        <div class="fields">
          <${DatasetField}
            ...${field}
            label="Training data"
            name="training"
            value=${files.training}
            choose=${change("training")}
          />
          <${DatasetField}
            ...${field}
            label="Validation data"
            name="validation"
            value=${files.validation}
            choose=${change("validation")}
            optional
          />
          <div>
            <label for="model">Model</label>
            <select id="model" name="model" required>
              ${models.map((model) => html`<option key=${model.id} value=${model.id}>${model.id}</option>`)}
            </select>
          </div>
          <div>
            <label for="suffix">Name</label>
            <input
              id="suffix"
              name="suffix"
              maxlength="18"
              pattern="[A-Za-z0-9._\\-]+"
              placeholder="ponant"
              aria-describedby="suffix-hint"
            />
            <p class="hint" id="suffix-hint">Part of the new model's id: letters, digits, . _ -</p>
          </div>
          ${NUMBERS.map((number) => html`<${NumberField} ...${number} />`)}
          <details class="whole">
            <summary>More</summary>
            <div class="fields">
              ${FURTHER.map((number) => html`<${NumberField} ...${number} />`)}
            </div>
          </details>
          <label class="check whole">
            <input type="checkbox" name="auto_start" defaultChecked /> Start when the files are checked
          </label>
        </div>
        <${Failure} error=${error} />
        <div class="row">
          <button type="submit" value="check" disabled=${doing !== ""}>
            ${label("check", "Check the files", "Checking …")}
          </button>
          <button type="submit" value="create" class="primary" disabled=${doing !== ""}>
            ${label("create", "Create job", "Creating …")}
          </button>
        </div>
      </form>
      ${verdict && html`<${Verdict} verdict=${verdict} datasets=${datasets ?? []} />`}
    </section>
  `;
}

function NumberField({ name, label, hint, usual, ...limits }) {
  return html`
    <div>
      <label for=${name}>${label}</label>
      <input
        id=${name}
        name=${name}
        type="number"
        inputmode="decimal"
        placeholder=${usual}
        aria-describedby="${name}-hint"
        ...${limits}
      />
      <p class="hint" id="${name}-hint">${hint}</p>
    </div>
  `;
}

/** Return the job that a form describes. Empty fields are left out. */
function jobOf(form, { training, validation }) {
  const given = (name) => (form.get(name) ? Number(form.get(name)) : undefined);
  const numbers = [...NUMBERS, ...FURTHER].map(({ name }) => [name, given(name)]);
  const hyperparameters = numbers.filter(([name, number]) => number !== undefined && name !== SKIPPED);
  return {
    model: form.get("model"),
    training_files: [{ file_id: training }],
    validation_files: validation ? [validation] : undefined,
    suffix: form.get("suffix") || undefined,
    auto_start: form.has("auto_start"),
    invalid_sample_skip_percentage: (given(SKIPPED) ?? 0) / 100,
    hyperparameters: Object.fromEntries(hyperparameters),
  };
}
