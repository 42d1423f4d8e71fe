"""Texts of NIM's chat completions."""

from collections.abc import Mapping

from ponant.server.document.examples import nim
from ponant.server.document.examples.chat import ANSWER, COMPLETION_ID, CREATED, MESSAGES, QUESTION
from ponant.server.document.texts.answers import ANSWER_TEXTS, CREATED_AT, ID, INDEX
from ponant.server.document.texts.errors import ERROR_TEXTS
from ponant.server.document.texts.field_text import FieldText, SchemaText

_MODEL = FieldText("Name of the model, as in the request.", nim.MODEL)
_FINGERPRINT = FieldText(
    "Fingerprint of the versions, the models and the settings of the server that answers depend on.", nim.FINGERPRINT
)
_LOGPROBS = FieldText("Log-probabilities of the tokens, if the request has `logprobs`; null without it.", None)
_CALLS = FieldText(
    "Calls of functions, if the request has `tools`.",
    [{"id": "D681PevKs", "type": "function", "function": {"name": "get_weather", "arguments": '{"city": "Paris"}'}}],
)
_THINKING = FieldText("Thinking of a reasoning model before its answer.", "Monet led the Impressionists.")
_FINISH = FieldText(
    "Reason of the answer's end: `stop` (the model or a stop string ended it), `length` (`max_tokens`, or the context "
    "is full), `tool_calls` or `function_call` (calls), or `error` (this choice failed and others did not).",
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
                "Most tokens to generate, at least 1. The model does not see this number: the answer is cut there. "
                "The tokens of the prompt and `max_tokens` must fit the model's context; more is refused.",
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
                "Probability mass to sample from, from 0 to 1: with 0.2 only the most likely tokens with a total "
                "probability of 0.2 are drawn. Change this or `temperature`, not both.",
                1,
            ),
            "stop": FieldText(
                "Text, or list of texts, that ends the answer where it appears. The answer does not contain it.",
                ["END"],
            ),
            "frequency_penalty": FieldText(
                "Subtracted from the logits of tokens once for each time that the answer has them, from -2 to 2. "
                "Positive values avoid repetition.",
                0,
            ),
            "presence_penalty": FieldText(
                "Subtracted from the logits of all tokens that the answer has already, from -2 to 2. Positive values "
                "favour new topics.",
                0,
            ),
            "seed": FieldText(
                "Seed of the random numbers, a 64-bit integer. Another seed gives another answer of the same kind; on "
                "an idle server the same request with the same seed gets the same answer.",
                0,
            ),
            "messages": FieldText("The conversation so far, the oldest message first; at least one message.", MESSAGES),
        },
    ),
    "NimMessage": SchemaText(
        "A message of a conversation, in OpenAI's form.",
        {
            "role": FieldText("Author of the message. `developer` is read as `system`, `function` as `tool`.", "user"),
            "content": FieldText(
                "Text of the message, or a list of parts of text. Images, sound and files are refused: models read "
                "text only.",
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
            "choices": FieldText("The answers, `n` of them.", [nim.CHOICE]),
            "usage": FieldText("Numbers of tokens.", nim.USAGE),
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
            "content": FieldText("Text of the answer; null for one with calls alone.", ANSWER),
            "refusal": FieldText("Always null, as in OpenAI's API without a refusal.", None),
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
                'Numbers of tokens, in the last chunk of a request with `stream_options: {"include_usage": true}`; '
                "null before.",
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
            "finish_reason": FieldText(f"Null except in the answer's last piece, which is empty. {_FINISH.text}", None),
        },
    ),
    "NimDelta": SchemaText(
        "A piece of a message.",
        {
            "role": FieldText("`assistant`, in the first piece.", "assistant"),
            "content": FieldText("More of the text.", "Claude"),
            "reasoning_content": _THINKING,
            "tool_calls": FieldText(
                "Pieces of calls, joined by `index`. The first piece of a call has its id and the function's name.",
                [{"index": 0, "function": {"arguments": '{"city'}}],
            ),
        },
    ),
    "NimEvent": SchemaText(
        "An event of a stream.",
        {"data": FieldText("A piece of the answers. The last event has `[DONE]` instead.", nim.CHUNK)},
    ),
    "NimUsage": SchemaText(
        "Numbers of tokens, as counted by the model's tokenizer.",
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
