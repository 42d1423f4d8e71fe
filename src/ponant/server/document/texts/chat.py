"""Texts of chat and fill-in-the-middle requests."""

from collections.abc import Mapping

from ponant.server.document.examples.chat import (
    CHAT_MODEL,
    CODE_MODEL,
    FUNCTION,
    JSON_SCHEMA_FORMAT,
    MESSAGES,
    PAINTER_SCHEMA,
    PARAMETERS,
    PREDICTED,
    TOOL,
)
from ponant.server.document.texts import sampling
from ponant.server.document.texts.field_text import FieldText, SchemaText

CHAT_TEXTS: Mapping[str, SchemaText] = {
    "ChatCompletionRequest": SchemaText(
        "A request for chat completions. Null for an optional field means that it was not sent.",
        {
            "model": FieldText(
                "Id, alias or public Mistral name of the model. List Available Models returns the ids. This server "
                "also accepts requests without a model: its first chat model answers them.",
                CHAT_MODEL,
            ),
            "messages": FieldText(
                "The conversation so far: messages with a `role` and a `content`, the oldest first. The first message "
                "is of the system or the user. The last one is of the user, a tool's result, or a message of the "
                "assistant with `prefix` set. Messages of the same role in a row are joined.",
                MESSAGES,
            ),
            "top_p": sampling.TOP_P,
            "top_k": FieldText(
                "Tokens are drawn from this many most likely ones. Null, 0 and -1 consider all tokens.", 40
            ),
            "max_tokens": sampling.MAX_TOKENS,
            "min_tokens": sampling.MIN_TOKENS,
            "stream": sampling.STREAM,
            "stop": sampling.STOP,
            "random_seed": sampling.RANDOM_SEED,
            "metadata": sampling.METADATA,
            "response_format": FieldText(
                "Format of the answer: text (the default), any JSON object, or JSON that satisfies a schema. Formats "
                "are enforced while the answer is generated. A schema that cannot be enforced is refused.",
                JSON_SCHEMA_FORMAT,
            ),
            "tools": FieldText("Functions that the model may call. Names must differ.", [TOOL]),
            "tool_choice": FieldText(
                "Use of the tools: `auto` lets the model choose between text and calls, `none` forbids calls, `any` "
                "and `required` demand at least one call, and a tool with the name of a function demands exactly one "
                "call of it.",
                "auto",
            ),
            "presence_penalty": FieldText(
                "Subtracted from the logits of all tokens that the answer has already, from -2 to 2. Positive values "
                "make new words more likely.",
                0,
            ),
            "frequency_penalty": FieldText(
                "Subtracted from the logits of tokens once for each time that the answer has them, from -2 to 2. "
                "Positive values avoid repetition.",
                0,
            ),
            "repetition_penalty": FieldText(
                "Divisor of the logits of tokens that the answer has already (negative logits are multiplied), "
                "from 0.01 to 10. Values above 1 avoid repetition. Null is 1: no effect.",
                1.1,
            ),
            "n": FieldText(
                "Number of answers, from 1 to 16. The prompt is computed once for all of them. Null is 1.", 2
            ),
            "prediction": FieldText(
                "Expected answer, such as a file of which a small part changes. Parts that are right are generated "
                "faster; the answer is the same as without it.",
                {"type": "content", "content": PREDICTED},
            ),
            "parallel_tool_calls": FieldText("True to allow up to 32 calls in one answer, false to allow one.", True),
            "prompt_mode": FieldText(
                "`reasoning` makes the model think before it answers; the content of the answer is then a list of "
                "chunks. Cannot be combined with `prefix`. Null leaves thinking out.",
                "reasoning",
            ),
            "reasoning_effort": FieldText(
                "`none` and `minimal` leave thinking out; all other levels have the effect of "
                '`prompt_mode: "reasoning"`.',
                "high",
            ),
            "guardrails": FieldText(
                "Moderation of the request. This server has no moderation model: a guardrail with the action `block` "
                "is refused, any other is accepted without effect.",
                [{"block_on_error": False}],
            ),
            "prompt_cache_key": sampling.PROMPT_CACHE_KEY,
            "service_tier": FieldText("Accepted without effect: there is one tier.", "default"),
            "logprobs": FieldText("True to return the log-probability of each token of the answer.", True),
            "top_logprobs": FieldText(
                "Number of most likely tokens to return at each position, from 0 to 20. Refused without `logprobs`. "
                "Null is 0.",
                3,
            ),
            "prompt_logprobs": FieldText(
                "True to return the log-probability of each token of the prompt except the first one.", True
            ),
            "top_prompt_logprobs": FieldText(
                "Number of most likely tokens to return at each position of the prompt, from 0 to 20. Refused without "
                "`prompt_logprobs`. Null is 0.",
                3,
            ),
            "logit_bias": FieldText(
                "Numbers from -100 to 100 to add to the logits of tokens, by the token's id in the model's "
                "vocabulary, written as a text. A server with `strict = true` refuses it.",
                {"1024": -100},
            ),
            "ignore_eos": FieldText(
                "True to generate `max_tokens` tokens, whether or not the model would end the answer before. A "
                "server with `strict = true` refuses it.",
                True,
            ),
            "safe_prompt": FieldText(
                "True to insert the server's safety prompt (setting `safe_prompt`) before the conversation.", False
            ),
            "safe_mode": FieldText("Older name of `safe_prompt`. A server with `strict = true` refuses it.", False),
        },
    ),
    "FIMCompletionRequest": SchemaText(
        "A request to fill in the text between a prompt and a suffix. Null for an optional field means that it was "
        "not sent.",
        {
            "model": FieldText(
                "Id, alias or public Mistral name of a model for code. This server also accepts requests without a "
                "model: its first model for code answers them.",
                CODE_MODEL,
            ),
            "prompt": FieldText("Text or code before the place to fill in.", "def fibonacci(n: int) -> int:\n"),
            "suffix": FieldText(
                "Text or code after the place to fill in. Without it, the prompt is continued.",
                "\nprint(fibonacci(10))\n",
            ),
            "top_p": sampling.TOP_P,
            "max_tokens": sampling.MAX_TOKENS,
            "min_tokens": sampling.MIN_TOKENS,
            "stream": sampling.STREAM,
            "stop": sampling.STOP,
            "random_seed": sampling.RANDOM_SEED,
            "metadata": sampling.METADATA,
            "prompt_cache_key": sampling.PROMPT_CACHE_KEY,
        },
    ),
    "Tool": SchemaText(
        "A function that the model may call.",
        {
            "type": FieldText("`function`, the only kind of tool.", "function"),
            "function": FieldText("The function.", FUNCTION),
        },
    ),
    "Function": SchemaText(
        "A function: its name, its purpose and its parameters.",
        {
            "name": FieldText("Name of 1 to 64 letters, digits, underscores and dashes.", "get_weather"),
            "description": FieldText("Purpose of the function, for the model.", FUNCTION["description"]),
            "strict": FieldText(
                "True to refuse `parameters` that cannot be enforced exactly. False leaves such keywords to the "
                "prompt. All others are enforced in both cases.",
                False,
            ),
            "parameters": FieldText("JSON schema of the arguments, an object.", PARAMETERS),
        },
    ),
    "ToolChoice": SchemaText(
        "The function that the model must call.",
        {
            "type": FieldText("`function`, the only kind of tool.", "function"),
            "function": FieldText("The name of the function.", {"name": "get_weather"}),
        },
    ),
    "FunctionName": SchemaText(
        "The name of a function.", {"name": FieldText("Name of a function in `tools`.", "get_weather")}
    ),
    "ResponseFormat": SchemaText(
        "The format of the answer.",
        {
            "type": FieldText(
                "`text` for free text, `json_object` for any JSON object, `json_schema` for JSON that satisfies "
                "`json_schema`.",
                "json_schema",
            ),
            "json_schema": FieldText(
                "The schema; required with the type `json_schema`.", JSON_SCHEMA_FORMAT["json_schema"]
            ),
        },
    ),
    "JsonSchema": SchemaText(
        "A named JSON schema of the answer.",
        {
            "name": FieldText("Name of the schema, for the model.", "painter"),
            "description": FieldText("Meaning of the answer, for the model.", "A painter and the year of birth."),
            "schema": FieldText(
                "JSON schema, draft 4 and later. A part that cannot be enforced exactly is refused.", PAINTER_SCHEMA
            ),
            "strict": FieldText("Accepted without effect: schemas are always enforced.", True),
        },
    ),
    "Prediction": SchemaText(
        "The expected answer.",
        {
            "type": FieldText("`content`, the only kind of prediction.", "content"),
            "content": FieldText("Text of the expected answer.", PREDICTED),
        },
    ),
}
