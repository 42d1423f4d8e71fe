"""Texts of answers: chat completions, streams, log-probabilities and usage."""

from collections.abc import Mapping

from ponant.server.document.examples.chat import (
    ANSWER,
    CALL,
    CHAT_ANSWER,
    CHAT_MODEL,
    CHUNK,
    CODE_MODEL,
    COMPLETION_ID,
    CREATED,
    FIM_ANSWER,
)
from ponant.server.document.texts.field_text import FieldText, SchemaText

ID = FieldText("Id of the completion.", COMPLETION_ID)
CREATED_AT = FieldText("Time of creation, as a Unix timestamp in seconds.", CREATED)
FINISH = FieldText(
    "Reason why the answer ended: `stop` (the model ended it, or a stop string appeared), `length` (`max_tokens` was "
    "reached), `model_length` (the context is full), `tool_calls` (the model calls functions), or `error` (this choice "
    "failed while others did not).",
    "stop",
)
INDEX = FieldText("Position of the answer among the `n` answers, from 0.", 0)
_TOP = {"token": " Claude", "logprob": -0.31, "bytes": list(b" Claude"), "token_id": 24639}
_TOKEN = _TOP | {"top_logprobs": [_TOP]}
_LOGPROBS = FieldText(
    "Log-probabilities of the tokens in the answer, if the request has `logprobs`.", {"content": [_TOKEN]}
)
_PROMPT_LOGPROBS = FieldText(
    "Log-probabilities of the tokens in the prompt, if the request has `prompt_logprobs`.", {"content": [_TOKEN]}
)
_TOKEN_FIELDS = {
    "token": FieldText(
        "Text of the token. A token that is not valid UTF-8 by itself, such as part of a character, is written as its "
        "bytes.",
        " Claude",
    ),
    "logprob": FieldText("Natural logarithm of the token's probability, at most 0.", -0.31),
    "bytes": FieldText("Bytes of the token, as integers from 0 to 255.", list(b" Claude")),
    "token_id": FieldText("Id of the token in the model's vocabulary.", 24639),
}


def _completion(model: str, choices: object) -> dict[str, FieldText]:
    return {
        "id": ID,
        "object": FieldText("`chat.completion`.", "chat.completion"),
        "created": CREATED_AT,
        "model": FieldText("Name of the model, as in the request.", model),
        "choices": FieldText("The answers, as many as `n`.", choices),
        "usage": FieldText("Token counts.", CHAT_ANSWER["usage"]),
    }


ANSWER_TEXTS: Mapping[str, SchemaText] = {
    "ChatCompletionResponse": SchemaText(
        "The answers to a chat request.", _completion(CHAT_MODEL, CHAT_ANSWER["choices"])
    ),
    "FIMCompletionResponse": SchemaText(
        "The completions, each as the content of an assistant message.",
        _completion(CODE_MODEL, FIM_ANSWER["choices"]),
    ),
    "ChatCompletionChoice": SchemaText(
        "One answer.",
        {
            "index": INDEX,
            "message": FieldText("The answer as a message.", CHAT_ANSWER["choices"][0]["message"]),
            "finish_reason": FINISH,
            "logprobs": _LOGPROBS,
            "prompt_logprobs": _PROMPT_LOGPROBS,
        },
    ),
    "CompletionEvent": SchemaText(
        "An event of a stream.",
        {"data": FieldText("A piece of the answers. The last event has `[DONE]` instead.", CHUNK)},
    ),
    "CompletionChunk": SchemaText(
        "A piece of the answers.",
        {
            "id": ID,
            "object": FieldText("`chat.completion.chunk`.", "chat.completion.chunk"),
            "created": CREATED_AT,
            "model": FieldText("Name of the model, as in the request.", CHAT_MODEL),
            "usage": FieldText("Token counts, in the last piece only.", CHAT_ANSWER["usage"]),
            "choices": FieldText("Pieces of one or more answers.", CHUNK["choices"]),
        },
    ),
    "CompletionResponseStreamChoice": SchemaText(
        "A piece of one answer.",
        {
            "index": INDEX,
            "delta": FieldText("The piece, which is appended to those before it.", CHUNK["choices"][0]["delta"]),
            "finish_reason": FieldText(f"Null except in the last piece of an answer. {FINISH.text}", None),
            "logprobs": FieldText(
                "Log-probabilities of the tokens in the piece, if the request has `logprobs`.", {"content": [_TOKEN]}
            ),
            "prompt_logprobs": FieldText(
                "Log-probabilities of the tokens in the prompt, in the first piece, if the request has "
                "`prompt_logprobs`.",
                {"content": [_TOKEN]},
            ),
        },
    ),
    "DeltaMessage": SchemaText(
        "A piece of a message.",
        {
            "role": FieldText("`assistant`, in the first piece.", "assistant"),
            "content": FieldText(
                "Next part of the text; with reasoning, a list of thinking or text chunks.", ANSWER[:6]
            ),
            "tool_calls": FieldText(
                'Function calls. The last piece has all of them in full; with the setting `stream_calls = "pieces"`, '
                "their arguments arrive in pieces, to be joined by `index`.",
                [CALL],
            ),
        },
    ),
    "ChoiceLogprobs": SchemaText(
        "Log-probabilities of tokens.",
        {"content": FieldText("The tokens in order, each with its log-probability.", [_TOKEN])},
    ),
    "TokenLogprob": SchemaText(
        "A token with its log-probability.",
        {
            **_TOKEN_FIELDS,
            "top_logprobs": FieldText("The most likely tokens at this position, as many as `top_logprobs`.", [_TOP]),
        },
    ),
    "TopLogprob": SchemaText("A candidate token at a position.", _TOKEN_FIELDS),
    "UsageInfo": SchemaText(
        "Token counts, by the model's tokenizer.",
        {
            "prompt_tokens": FieldText("Number of tokens in the prompt.", 16),
            "completion_tokens": FieldText("Number of tokens in all answers; 0 for embeddings.", 34),
            "total_tokens": FieldText("Sum of prompt and completion tokens.", 50),
            "prompt_audio_seconds": FieldText(
                "Seconds of audio in the prompt. Always null or absent: models read text only.", None
            ),
            "num_cached_tokens": FieldText(
                "Number of prompt tokens that were read from the cache instead of computed.", 0
            ),
            "prompt_tokens_details": FieldText("Details of the prompt tokens.", {"cached_tokens": 0}),
            "prompt_token_details": FieldText(
                "Alternative spelling of `prompt_tokens_details` in the Mistral API. This server omits it.",
                {"cached_tokens": 0},
            ),
            "completion_tokens_details": FieldText(
                "Details of the completion tokens, if the request has a `prediction`.",
                {"accepted_prediction_tokens": 21, "rejected_prediction_tokens": 4},
            ),
        },
    ),
    "PromptTokensDetails": SchemaText(
        "Details of the prompt tokens.",
        {"cached_tokens": FieldText("Number of tokens that were read from the cache instead of computed.", 0)},
    ),
    "CompletionTokensDetails": SchemaText(
        "Details of the completion tokens.",
        {
            "accepted_prediction_tokens": FieldText(
                "Number of tokens of the prediction that are part of the answer.", 21
            ),
            "rejected_prediction_tokens": FieldText(
                "Number of tokens of the prediction that were tried and rejected.", 4
            ),
        },
    ),
}
