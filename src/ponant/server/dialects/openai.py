"""OpenAI's dialect: chat completions, text completions and embeddings translated to the Mistral API."""

from typing import Any

from ponant.api.chat import ChatCompletionRequest
from ponant.server.dialects.base import Answers, Dialect, DialectExchange
from ponant.server.dialects.openai_answers import (
    ChatAnswers,
    EmbeddingAnswers,
    ModelAnswers,
    OpenAIAnswers,
    TextAnswers,
)
from ponant.server.dialects.openai_files import FILES, FileAnswers
from ponant.server.dialects.openai_jobs import HISTORIES, JOBS, HistoryAnswers, JobAnswers
from ponant.server.dialects.openai_jobs import TABLE as JOB_TABLE
from ponant.server.dialects.openai_messages import read_messages, text_of_parts
from ponant.server.dialects.table import (
    KEPT,
    Fields,
    RefusedFieldError,
    Rule,
    Table,
    ignored,
    only,
    refused,
    renamed,
    translated,
)

CHAT = "/v1/chat/completions"
TEXT = "/v1/completions"
EMBEDDINGS = "/v1/embeddings"
_MODELS = "/v1/models"

_DEFAULT_TEXT_LENGTH = 16
_BARE_SCHEMA = "answer"
"""Name of a schema without one."""
_STREAM_OPTION_NAMES = ("include_usage", "include_obfuscation", "continuous_usage_stats")


def _seed(seed: Any) -> Fields:
    """Translate a seed. OpenAI's seeds may be negative; they are read as unsigned 64-bit numbers."""
    if not isinstance(seed, int) or isinstance(seed, bool):
        return {"random_seed": seed}
    if not -(2**63) <= seed < 2**64:
        raise RefusedFieldError("Input should be a 64-bit integer", kind="int_size")
    return {"random_seed": seed % 2**64}


def _without_nulls(value: Any) -> Any:
    return {name: part for name, part in value.items() if part is not None} if isinstance(value, dict) else value


def _function(function: Any) -> Any:
    """Return a function of a tool without nulls, and with an empty object schema if it has no parameters."""
    if not isinstance(function, dict):
        return function
    return {"parameters": {"type": "object", "properties": {}}} | _without_nulls(function)


def _tools(tools: Any) -> Fields:
    if not isinstance(tools, list):
        return {"tools": tools}
    return {"tools": [_tool(tool, index) for index, tool in enumerate(tools)]}


def _tool(tool: Any, index: int) -> Any:
    if not isinstance(tool, dict):
        return tool
    if tool.get("type") == "custom":
        raise RefusedFieldError("custom tools are not supported: declare a function", index)
    return tool | {"function": _function(tool["function"])} if "function" in tool else tool


def _tool_choice(choice: Any) -> Fields:
    match choice:
        case {"type": "allowed_tools"}:
            raise RefusedFieldError("allowed_tools is not supported: send only the tools that may be called")
        case {"type": "custom"}:
            raise RefusedFieldError("custom tools are not supported: name a function")
        case _:
            return {"tool_choice": choice}


def _functions(functions: Any) -> Fields:
    if not isinstance(functions, list):
        raise RefusedFieldError("Input should be a valid list", kind="list_type")
    if not functions:
        return {}
    tools = [{"type": "function", "function": _function(function)} for function in functions]
    return {"tools": tools, "parallel_tool_calls": False}


def _function_call(choice: Any) -> Fields:
    return {"tool_choice": {"type": "function", "function": choice} if isinstance(choice, dict) else choice}


def _response_format(wanted: Any) -> Fields:
    """Translate the format of the answer. Some servers of this dialect take a bare schema next to the type."""
    known = _without_nulls(wanted)
    if not isinstance(known, dict):
        return {"response_format": known}
    if "json_schema" in known:
        known["json_schema"] = _without_nulls(known["json_schema"])
    elif "schema" in known and known.get("type") in ("json_object", "json_schema"):
        schema = {"name": _BARE_SCHEMA, "schema": known.pop("schema")}
        known |= {"type": "json_schema", "json_schema": schema}
    return {"response_format": known}


def _prediction(prediction: Any) -> Fields:
    if isinstance(prediction, dict) and "content" in prediction:
        prediction = prediction | {"content": text_of_parts(prediction["content"])}
    return {"prediction": prediction}


def _stream_options(options: Any) -> Fields:
    known = _without_nulls(options)
    if not isinstance(known, dict):
        raise RefusedFieldError("Input should be a valid dictionary", kind="dict_type")
    for name, value in known.items():
        if name not in _STREAM_OPTION_NAMES:
            raise RefusedFieldError("Extra inputs are not permitted", name, kind="extra_forbidden")
        if not isinstance(value, bool):
            raise RefusedFieldError("Input should be a valid boolean", name, kind="bool_type")
    return {}


def _are_token_ids(value: Any) -> bool:
    return isinstance(value, list) and bool(value) and all(type(token) is int for token in value)


def _prompt(prompt: Any) -> Fields:
    return {"prompts": prompt if isinstance(prompt, list) and not _are_token_ids(prompt) else [prompt]}


_SEED = translated(_seed, "renamed to `random_seed`; may be negative")
_LOGIT_BIAS = Rule("kept; token ids of the model, -100 to 100", KEPT.translate)
_IGNORE_EOS = Rule("kept (vLLM's); `true` generates `max_tokens` tokens", KEPT.translate)
_USER = ignored("the user does not change the answer")
_STREAM_OPTIONS = translated(
    _stream_options,
    "`include_usage` ends a stream with the usage; `continuous_usage_stats` (vLLM's) puts the usage so far into every "
    "event; `include_obfuscation` is ignored: it hides lengths",
)

_CHAT: dict[str, Rule] = {
    "messages": translated(read_messages, "translated, see below"),
    "max_completion_tokens": renamed("max_tokens"),
    "seed": _SEED,
    "tools": translated(_tools, "kept; a function without parameters has none, custom tools are refused"),
    "tool_choice": translated(_tool_choice, "kept; `allowed_tools` and custom tools are refused"),
    "functions": translated(_functions, "becomes `tools`, one call at a time; the answer has a `function_call`"),
    "function_call": translated(_function_call, "becomes `tool_choice`"),
    "response_format": translated(_response_format, "kept; `schema` may stand next to the type"),
    "prediction": translated(_prediction, "kept; parts of text are concatenated"),
    "stream_options": _STREAM_OPTIONS,
    "user": _USER,
    "safety_identifier": _USER,
    "store": only(False, why="answers are not stored"),
    "service_tier": ignored("there is one tier"),
    "prompt_cache_retention": ignored("caches change the speed of answers, not the text"),
    "prompt_cache_options": ignored("caches change the speed of answers, not the text"),
    "logit_bias": _LOGIT_BIAS,
    "ignore_eos": _IGNORE_EOS,
    "modalities": only(["text"], why="models write text"),
    "audio": refused("models write text"),
    "verbosity": only("medium", why="models have no such setting; ask for it in a message"),
    "web_search_options": refused("there is no search"),
    "moderation": refused("there is no moderation model"),
}
CHAT_RULES: dict[str, Rule] = dict.fromkeys(ChatCompletionRequest.model_fields, KEPT) | _CHAT
"""Rules of the fields of a chat request. Fields of the Mistral API are accepted as well (``extra_body``)."""

_TEXT_RULES: dict[str, Rule] = {
    "model": KEPT,
    "prompt": translated(
        _prompt, "a text, token ids of the model, or a list of these; without one a text is written from its beginning"
    ),
    "suffix": Rule("kept: the text between both is generated, as by `/v1/fim/completions`", KEPT.translate),
    "max_tokens": Rule(f"kept; {_DEFAULT_TEXT_LENGTH} by default", KEPT.translate),
    "temperature": KEPT,
    "top_p": KEPT,
    "n": Rule("kept; completions of each prompt", KEPT.translate),
    "stop": KEPT,
    "stream": KEPT,
    "presence_penalty": KEPT,
    "frequency_penalty": KEPT,
    "seed": _SEED,
    "echo": Rule("kept: the answer begins with the prompt, `logprobs` too", KEPT.translate),
    "logprobs": Rule("renamed to `top_logprobs`; at most 20", renamed("top_logprobs").translate),
    "best_of": only(1, why="completions are not ranked"),
    "logit_bias": _LOGIT_BIAS,
    "ignore_eos": _IGNORE_EOS,
    "stream_options": _STREAM_OPTIONS,
    "user": _USER,
}

_EMBEDDING_RULES: dict[str, Rule] = {
    "model": KEPT,
    "input": Rule("kept; token ids of the model, too, unless it is the bundled one", KEPT.translate),
    "dimensions": renamed("output_dimension"),
    "encoding_format": KEPT,
    "user": _USER,
    "output_dimension": KEPT,
    "output_dtype": KEPT,
    "metadata": KEPT,
}


def is_model(path: str) -> bool:
    """True if a path is that of the list of models, or of a model."""
    return path == _MODELS or path.startswith(f"{_MODELS}/")


def _answers(exchange: DialectExchange) -> Answers:
    path = exchange.path
    kinds = {CHAT: ChatAnswers, TEXT: TextAnswers, EMBEDDINGS: EmbeddingAnswers}
    if path in kinds:
        return kinds[path](exchange)
    if OPENAI.served_path(path):
        return HistoryAnswers(exchange)
    for root, kind in ((_MODELS, ModelAnswers), (FILES, FileAnswers), (JOBS, JobAnswers)):
        if path == root or path.startswith(f"{root}/"):
            return kind(exchange)
    return OpenAIAnswers(exchange)


OPENAI = Dialect(
    "openai",
    {
        CHAT: Table(CHAT_RULES, shared=frozenset(ChatCompletionRequest.model_fields) - {"logit_bias", "ignore_eos"}),
        TEXT: Table(_TEXT_RULES, defaults={"max_tokens": _DEFAULT_TEXT_LENGTH}),
        JOBS: JOB_TABLE,
        EMBEDDINGS: Table(_EMBEDDING_RULES, shared=frozenset(_EMBEDDING_RULES) - {"dimensions", "user"}),
    },
    _answers,
    calls="pieces",
    any_order=True,
    paths={TEXT: TEXT, **HISTORIES},
)
