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
                "Id or alias of the model, or the public Mistral name that stands for it. List Available Models "
                "returns the ids. This server also accepts requests without a model: its first chat model answers "
                "them.",
                CHAT_MODEL,
            ),
            "messages": FieldText(
                "The conversation so far: messages with a `role` and a `content`, oldest first. The first message is a "
                "system or user message. The last one is a user message, a tool result, or an assistant message with "
                "`prefix` set. Consecutive messages with the same role are merged.",
                MESSAGES,
            ),
            "top_p": sampling.TOP_P,
            "top_k": FieldText(
                "Number of most likely tokens to sample from. With null, 0 or -1, all tokens are considered.", 40
            ),
            "max_tokens": sampling.MAX_TOKENS,
            "min_tokens": sampling.MIN_TOKENS,
            "stream": sampling.STREAM,
            "stop": sampling.STOP,
            "random_seed": sampling.RANDOM_SEED,
            "metadata": sampling.METADATA,
            "response_format": FieldText(
                "Format of the answer: text (the default), any JSON object, or JSON that conforms to a schema. The "
                "format is enforced while the answer is generated. A schema that cannot be enforced is refused.",
                JSON_SCHEMA_FORMAT,
            ),
            "tools": FieldText("Functions that the model may call. Their names must be unique.", [TOOL]),
            "tool_choice": FieldText(
                "How the model uses the tools: `auto` lets it choose between text and calls, `none` forbids calls, "
                "`any` and `required` force at least one call, and an object with the name of a function forces "
                "exactly one call of that function.",
                "auto",
            ),
            "presence_penalty": FieldText(
                "Penalty from -2 to 2 that is subtracted once from the logit of each token that the answer already "
                "contains. Positive values make new words more likely.",
                0,
            ),
            "frequency_penalty": FieldText(
                "Penalty from -2 to 2 that is subtracted from the logit of a token for each time that the answer "
                "already contains it. Positive values reduce repetition.",
                0,
            ),
            "repetition_penalty": FieldText(
                "Factor from 0.01 to 10 by which the logits of tokens that the answer already contains are divided "
                "(negative logits are multiplied). Values above 1 reduce repetition. Null means 1, which has no "
                "effect.",
                1.1,
            ),
            "n": FieldText(
                "Number of answers, from 1 to 16. The prompt is processed only once for all of them. Null means 1.", 2
            ),
            "prediction": FieldText(
                "Expected answer, such as a file in which only a small part changes. The parts that match are "
                "generated faster; the answer is the same as without a prediction.",
                {"type": "content", "content": PREDICTED},
            ),
            "parallel_tool_calls": FieldText(
                "True to allow up to 32 calls in one answer, false to allow only one.", True
            ),
            "prompt_mode": FieldText(
                "`reasoning` makes the model think before it answers; the content of the answer is then a list of "
                "chunks. It cannot be combined with `prefix`. With null, the model answers without thinking.",
                "reasoning",
            ),
            "reasoning_effort": FieldText(
                "With `none` and `minimal`, the model answers without thinking; all other levels have the effect of "
                '`prompt_mode: "reasoning"`.',
                "high",
            ),
            "guardrails": FieldText(
                "Moderation of the request. This server has no moderation model: a guardrail with the action `block` "
                "is refused; any other is accepted without effect.",
                [{"block_on_error": False}],
            ),
            "prompt_cache_key": sampling.PROMPT_CACHE_KEY,
            "service_tier": FieldText("Accepted without effect: there is one tier.", "default"),
            "logprobs": FieldText("True to return the log-probability of each token of the answer.", True),
            "top_logprobs": FieldText(
                "Number of most likely tokens to return at each position, from 0 to 20. Refused without `logprobs`. "
                "Null means 0.",
                3,
            ),
            "prompt_logprobs": FieldText(
                "True to return the log-probability of each token of the prompt except the first one.", True
            ),
            "top_prompt_logprobs": FieldText(
                "Number of most likely tokens to return at each position of the prompt, from 0 to 20. Refused without "
                "`prompt_logprobs`. Null means 0.",
                3,
            ),
            "logit_bias": FieldText(
                "Values from -100 to 100 that are added to the logits of tokens. The keys are token ids in the model's "
                "vocabulary, as strings. A server with `strict = true` refuses it.",
                {"1024": -100},
            ),
            "ignore_eos": FieldText(
                "True to generate `max_tokens` tokens, even if the model would end the answer earlier. A server with "
                "`strict = true` refuses it.",
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
                "Id or alias of a code model, or the public Mistral name that stands for it. This server also accepts "
                "requests without a model: its first code model answers them.",
                CODE_MODEL,
            ),
            "prompt": FieldText("Text or code before the gap to fill in.", "def fibonacci(n: int) -> int:\n"),
            "suffix": FieldText(
                "Text or code after the gap. Without it, the prompt is continued.",
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
            "type": FieldText("`function`, the only type of tool.", "function"),
            "function": FieldText("The function.", FUNCTION),
        },
    ),
    "Function": SchemaText(
        "A function: its name, its purpose and its parameters.",
        {
            "name": FieldText(
                "Name, made of 1 to 64 letters (a-z, A-Z), digits, underscores and dashes. Other names are refused "
                "with a 400.",
                "get_weather",
            ),
            "description": FieldText("Description of the function, which the model reads.", FUNCTION["description"]),
            "strict": FieldText(
                "True to refuse `parameters` with keywords that cannot be enforced exactly. With false, such keywords "
                "are only part of the prompt. All other keywords are enforced in both cases.",
                False,
            ),
            "parameters": FieldText("JSON schema of the arguments, which form an object.", PARAMETERS),
        },
    ),
    "ToolChoice": SchemaText(
        "The function that the model must call.",
        {
            "type": FieldText("`function`, the only type of tool.", "function"),
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
                "`text` for free text, `json_object` for any JSON object, `json_schema` for JSON that conforms to the "
                "schema in `json_schema`.",
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
            "name": FieldText("Name of the schema, which the model reads.", "painter"),
            "description": FieldText(
                "Description of the answer, which the model reads.", "A painter and the year of birth."
            ),
            "schema": FieldText(
                "JSON schema (draft 4 or later). A schema that cannot be enforced exactly is refused.", PAINTER_SCHEMA
            ),
            "strict": FieldText("Accepted without effect: schemas are always enforced.", True),
        },
    ),
    "Prediction": SchemaText(
        "The expected answer.",
        {
            "type": FieldText("`content`, the only type of prediction.", "content"),
            "content": FieldText("Text of the expected answer.", PREDICTED),
        },
    ),
}
