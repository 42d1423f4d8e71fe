/**
 * The settings of a conversation, and the fields of a request that they stand for.
 *
 * Numbers are null where the field is not sent. Schemas and further fields are kept as they were typed.
 */

/** Numbers of a chat request: field, label, bounds, step, and the value that the server takes without the field. */
export const NUMBERS = [
  { name: "temperature", min: 0, max: 1.5, step: 0.1, usual: "" },
  { name: "top_p", min: 0, max: 1, step: 0.05, usual: "1" },
  { name: "max_tokens", min: 0, max: 2 ** 31 - 1, step: 1, usual: "no limit" },
  { name: "random_seed", min: 0, max: Number.MAX_SAFE_INTEGER, step: 1, usual: "random" },
  { name: "presence_penalty", min: -2, max: 2, step: 0.1, usual: "0" },
  { name: "frequency_penalty", min: -2, max: 2, step: 0.1, usual: "0" },
];

export const MOST_CHOICES = 16;
export const ALTERNATIVES = 5;
export const REASONING = ["", "reasoning", "low", "medium", "high", "none"];

/** Return the settings of a new conversation with a model. */
export function defaultSettings(model = "") {
  return {
    model,
    beside: "",
    system: "",
    ...Object.fromEntries(NUMBERS.map(({ name }) => [name, null])),
    n: 1,
    stop: [],
    colour: false,
    format: "text",
    schemaName: "answer",
    schema: "",
    tools: [],
    toolChoice: "auto",
    parallel: true,
    prediction: null,
    comparePrediction: true,
    reasoning: "",
    extra: "",
  };
}

/** Return settings that have every field, from ones that may come from a file. */
export function completeSettings(given) {
  const usual = defaultSettings();
  const known = Object.entries(usual).map(([name, value]) => {
    const found = given?.[name];
    const fits = value === null ? isOptional(name, found) : Array.isArray(value) === Array.isArray(found);
    return [name, fits && (value === null || typeof found === typeof value) ? found : value];
  });
  const settings = Object.fromEntries(known);
  settings.stop = settings.stop.filter((stop) => typeof stop === "string");
  settings.tools = settings.tools.filter((tool) => tool && typeof tool === "object").map(completeTool);
  return settings;
}

function completeTool({ name = "", description = "", parameters = "{}", strict }) {
  return {
    name: String(name),
    description: String(description),
    parameters: String(parameters),
    strict: strict === true,
  };
}

function isOptional(name, value) {
  return name === "prediction" ? typeof value === "string" || value === null : Number.isFinite(value);
}

/**
 * Return the fields of a chat request without its model and its messages.
 *
 * @returns {{fields: object, problems: {panel: string, message: string}[]}} problems are texts that cannot be sent
 */
export function chatFields(settings) {
  const problems = [];
  const read = (panel, name, text) => {
    try {
      return readObject(text);
    } catch (error) {
      problems.push({ panel, message: `${name}: ${error.message}` });
      return {};
    }
  };
  const fields = { stream: true, ...numberFields(settings), ...logprobFields(settings) };
  if (settings.n > 1) {
    fields.n = settings.n;
  }
  if (settings.stop.length) {
    fields.stop = settings.stop;
  }
  if (settings.format === "json_object") {
    fields.response_format = { type: "json_object" };
  } else if (settings.format === "json_schema") {
    const schema = read("schema", "The schema", settings.schema);
    fields.response_format = { type: "json_schema", json_schema: { name: settings.schemaName || "answer", schema } };
  }
  if (settings.tools.length) {
    fields.tools = settings.tools.map((tool) => toolField(tool, read));
    Object.assign(fields, toolChoiceFields(settings));
  }
  if (settings.prediction !== null) {
    fields.prediction = { type: "content", content: settings.prediction };
  }
  Object.assign(fields, reasoningFields(settings.reasoning));
  const extra = extraFields(settings);
  return { fields: { ...fields, ...extra.fields }, problems: [...problems, ...extra.problems] };
}

/** True for settings of fill-in-the-middle or embeddings with which a request can be sent. */
export function isSendable(settings) {
  return settings.model !== "" && extraFields(settings).problems.length === 0;
}

/** Return the further fields of a request, and the problem if they are unreadable. */
export function extraFields({ extra }) {
  try {
    return { fields: readObject(extra), problems: [] };
  } catch (error) {
    return { fields: {}, problems: [{ panel: "sampling", message: `Other fields: ${error.message}` }] };
  }
}

/** Return the numbers among the fields of a request. */
export function numberFields(settings, names = NUMBERS.map(({ name }) => name)) {
  return Object.fromEntries(names.filter((name) => settings[name] !== null).map((name) => [name, settings[name]]));
}

/** Return the fields for log-probabilities. They also count the tokens of each of several choices. */
function logprobFields(settings) {
  if (settings.colour) {
    return { logprobs: true, top_logprobs: ALTERNATIVES };
  }
  return settings.n > 1 ? { logprobs: true } : {};
}

function toolField(tool, read) {
  const { name, description, strict } = tool;
  const parameters = read("tools", `The parameters of ${name || "a tool"}`, tool.parameters);
  const written = { name, ...(description ? { description } : {}), parameters, ...(strict ? { strict } : {}) };
  return { type: "function", function: written };
}

function toolChoiceFields(settings) {
  const { toolChoice, tools } = settings;
  const fields = settings.parallel ? {} : { parallel_tool_calls: false };
  if (["none", "any"].includes(toolChoice)) {
    return { tool_choice: toolChoice, ...fields };
  }
  const isNamed = tools.some((tool) => `=${tool.name}` === toolChoice);
  const choice = { type: "function", function: { name: toolChoice.slice(1) } };
  return isNamed ? { tool_choice: choice, ...fields } : fields;
}

function reasoningFields(reasoning) {
  if (!reasoning) {
    return {};
  }
  return reasoning === "reasoning" ? { prompt_mode: "reasoning" } : { reasoning_effort: reasoning };
}

/** Return the object that a JSON text stands for. */
export function readObject(text) {
  const value = JSON.parse(text.trim() || "{}");
  if (typeof value !== "object" || value === null || Array.isArray(value)) {
    throw new Error("not a JSON object");
  }
  return value;
}

/** Return the settings that stand for the fields of a chat request. Fields without a control become `extra`. */
export function settingsOf(body) {
  const settings = defaultSettings(typeof body.model === "string" ? body.model : "");
  const rest = { ...body };
  const take = (name, isKnown, put) => {
    if (rest[name] === null || isKnown(rest[name])) {
      if (rest[name] !== null) {
        put(rest[name]);
      }
      delete rest[name];
    }
  };
  for (const name of ["model", "messages", "stream"]) {
    delete rest[name];
  }
  for (const { name } of NUMBERS) {
    take(name, Number.isFinite, (value) => (settings[name] = value));
  }
  take("n", Number.isInteger, (value) => (settings.n = value));
  take("stop", isStop, (value) => (settings.stop = [value].flat()));
  take("response_format", isFormat, (value) => Object.assign(settings, formatSettings(value)));
  take("tools", isTools, (value) => (settings.tools = value.map(toolSettings)));
  take(
    "tool_choice",
    isToolChoice,
    (value) => (settings.toolChoice = value.function ? `=${value.function.name}` : value),
  );
  take("parallel_tool_calls", isBoolean, (value) => (settings.parallel = value));
  take(
    "prediction",
    (value) => typeof value?.content === "string",
    (value) => (settings.prediction = value.content),
  );
  take(
    "prompt_mode",
    (value) => value === "reasoning",
    (value) => (settings.reasoning = value),
  );
  take(
    "reasoning_effort",
    (value) => REASONING.slice(2).includes(value),
    (value) => (settings.reasoning = value),
  );
  if (rest.logprobs === true && rest.top_logprobs === ALTERNATIVES) {
    settings.colour = true;
  }
  if (settings.colour || (rest.logprobs === true && settings.n > 1 && !rest.top_logprobs)) {
    delete rest.logprobs;
    delete rest.top_logprobs;
  }
  settings.extra = Object.keys(rest).length ? JSON.stringify(rest, null, 2) : "";
  return settings;
}

const isBoolean = (value) => typeof value === "boolean";
const isStop = (value) => [value].flat().every((stop) => typeof stop === "string");

function isFormat(value) {
  const schema = value?.json_schema;
  const isPlain = !schema || Object.keys(schema).every((name) => name === "name" || name === "schema");
  return ["text", "json_object", "json_schema"].includes(value?.type) && isPlain;
}

function formatSettings({ type, json_schema: given }) {
  return given
    ? { format: type, schemaName: given.name, schema: JSON.stringify(given.schema, null, 2) }
    : { format: type };
}

function isTools(value) {
  return Array.isArray(value) && value.every((tool) => typeof tool?.function?.name === "string");
}

function toolSettings({ function: called }) {
  return {
    name: called.name,
    description: called.description ?? "",
    parameters: JSON.stringify(called.parameters ?? {}, null, 2),
    strict: called.strict === true,
  };
}

function isToolChoice(value) {
  return ["auto", "none", "any"].includes(value) || typeof value?.function?.name === "string";
}
