"""Texts of NIM's chat completions."""

from collections.abc import Mapping

from ponant.server.document.examples import nim
from ponant.server.document.examples.chat import ANSWER, COMPLETION_ID, CREATED, MESSAGES, QUESTION
from ponant.server.document.texts.answers import ANSWER_TEXTS, CREATED_AT, ID, INDEX
from ponant.server.document.texts.errors import ERROR_TEXTS
from ponant.server.document.texts.field_text import FieldText, SchemaText

_MODEL = FieldText("Name of the model, as in the request.", nim.MODEL)
_FINGERPRINT = FieldText(
    "Fingerprint of everything that answers depend on: versions, models and settings of the server.", nim.FINGERPRINT
)
_LOGPROBS = FieldText("Log-probabilities of the tokens, if the request has `logprobs`; null without it.", None)
_CALLS = FieldText(
    "Function calls, if the request has `tools`.",
    [{"id": "D681PevKs", "type": "function", "function": {"name": "get_weather", "arguments": '{"city": "Paris"}'}}],
)
_THINKING = FieldText("Reasoning of the model before its answer.", "Monet led the Impressionists.")
_FINISH = FieldText(
    "Reason why the answer ended: `stop` (the model ended it, or a stop string appeared), `length` (`max_tokens` was "
    "reached, or the context is full), `tool_calls` or `function_call` (the model calls functions), or `error` (this "
    "choice failed while others did not).",
    "stop",
)

NIM_TEXTS: Mapping[str, SchemaText] = {
    "NimChatRequest": SchemaText(
        "A request for a chat completion. Other fields of OpenAI's chat completions, such as `tools` and "
        "`response_format`, are read as in OpenAI's API; unknown fields are refused. Null means the default.",
        {
            "model": FieldText(
                "Name of the model. NIM's names, `mistralai/...`, stand for this server's first chat model, unless "
                "the setting `public_names` is false.",
                nim.MODEL,
            ),
            "max_tokens": FieldText(
                "Maximum number of tokens to generate, at least 1. The model does not see this number: the answer is "
                "cut off there. The prompt plus `max_tokens` cannot exceed the model's context length; more is "
                "refused.",
                128,
            ),
            "stream": FieldText(
                "True to send pieces of the answer as server-sent events (lines that begin with `data: `) while they "
                "are generated; `data: [DONE]` ends the stream.",
                False,
            ),
            "temperature": FieldText(
                "Sampling temperature, from 0 to 1. Higher values make the text more random. Change this or `top_p`, "
                "not both.",
                0.3,
            ),
            "top_p": FieldText(
                "Probability mass to sample from, from 0 to 1: with 0.2, only the most likely tokens whose "
                "probabilities add up to 0.2 are considered. Change this or `temperature`, not both.",
                1,
            ),
            "stop": FieldText(
                "A string, or a list of strings, at which generation stops. The answer does not include it.",
                ["END"],
            ),
            "frequency_penalty": FieldText(
                "Penalty from -2 to 2 that is subtracted from the logit of a token for each time that the answer "
                "already contains it. Positive values reduce repetition.",
                0,
            ),
            "presence_penalty": FieldText(
                "Penalty from -2 to 2 that is subtracted once from the logit of each token that the answer already "
                "contains. Positive values encourage new topics.",
                0,
            ),
            "seed": FieldText(
                "Seed of the random number generator, a 64-bit integer. A different seed gives a different answer of "
                "the same kind; on an idle server, the same request with the same seed returns the same answer.",
                0,
            ),
            "messages": FieldText("The conversation so far, oldest message first; at least one message.", MESSAGES),
        },
    ),
    "NimMessage": SchemaText(
        "A message of a conversation, in OpenAI's form.",
        {
            "role": FieldText("Author of the message. `developer` is read as `system`, `function` as `tool`.", "user"),
            "content": FieldText(
                "Text of the message, or a list of text parts. Images, audio and files are refused: models read text "
                "only.",
                QUESTION,
            ),
        },
    ),
    "NimTextPart": SchemaText(
        "A part of a message.",
        {"type": FieldText("`text`, the only kind of part.", "text"), "text": FieldText("The text.", QUESTION)},
    ),
    "NimChatCompletion": SchemaText(
        "The answers to a request.",
        {
            "id": ID,
            "object": FieldText("`chat.completion`.", "chat.completion"),
            "created": CREATED_AT,
            "model": _MODEL,
            "system_fingerprint": _FINGERPRINT,
            "choices": FieldText("The answers, as many as `n`.", [nim.CHOICE]),
            "usage": FieldText("Token counts.", nim.USAGE),
        },
    ),
    "NimChoice": SchemaText(
        "One answer.",
        {
            "index": INDEX,
            "message": FieldText("The answer as a message.", nim.MESSAGE),
            "logprobs": _LOGPROBS,
            "finish_reason": _FINISH,
        },
    ),
    "NimAnswer": SchemaText(
        "An answer as a message.",
        {
            "role": FieldText("`assistant`.", "assistant"),
            "content": FieldText("Text of the answer; null if it consists of calls only.", ANSWER),
            "refusal": FieldText("Always null: answers have no refusals.", None),
            "reasoning_content": _THINKING,
            "tool_calls": _CALLS,
        },
    ),
    "NimChunk": SchemaText(
        "A piece of the answers.",
        {
            "id": FieldText(ID.text, COMPLETION_ID),
            "object": FieldText("`chat.completion.chunk`.", "chat.completion.chunk"),
            "created": FieldText(CREATED_AT.text, CREATED),
            "model": _MODEL,
            "system_fingerprint": _FINGERPRINT,
            "choices": FieldText("Pieces of one or more answers.", [nim.PIECE]),
            "usage": FieldText(
                'Token counts, in the last chunk of a request with `stream_options: {"include_usage": true}`; null '
                "before that.",
                None,
            ),
        },
    ),
    "NimPiece": SchemaText(
        "A piece of one answer.",
        {
            "index": INDEX,
            "delta": FieldText("The piece, which is appended to those before it.", {"content": "Claude"}),
            "logprobs": _LOGPROBS,
            "finish_reason": FieldText(
                f"Null except in the last piece of an answer, which is empty. {_FINISH.text}", None
            ),
        },
    ),
    "NimDelta": SchemaText(
        "A piece of a message.",
        {
            "role": FieldText("`assistant`, in the first piece.", "assistant"),
            "content": FieldText("Next part of the text.", "Claude"),
            "reasoning_content": _THINKING,
            "tool_calls": FieldText(
                "Pieces of calls, to be joined by `index`. The first piece of a call has its id and the function's "
                "name.",
                [{"index": 0, "function": {"arguments": '{"city'}}],
            ),
        },
    ),
    "NimEvent": SchemaText(
        "An event of a stream.",
        {"data": FieldText("A piece of the answers. The last event has `[DONE]` instead.", nim.CHUNK)},
    ),
    "NimUsage": SchemaText(
        "Token counts, by the model's tokenizer.",
        {
            name: ANSWER_TEXTS["UsageInfo"].fields[name]
            for name in (
                "prompt_tokens",
                "completion_tokens",
                "total_tokens",
                "prompt_tokens_details",
                "completion_tokens_details",
            )
        },
    ),
    **{name: ANSWER_TEXTS[name] for name in ("PromptTokensDetails", "CompletionTokensDetails")},
    **ERROR_TEXTS,
}
"""Texts by the name of the schema."""
