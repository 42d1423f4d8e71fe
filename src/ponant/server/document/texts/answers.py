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
CREATED_AT = FieldText("Time of the completion, in seconds since 1970.", CREATED)
FINISH = FieldText(
    "Reason of the answer's end: `stop` (the model or a stop string ended it), `length` (`max_tokens`), "
    "`model_length` (the context is full), `tool_calls` (calls), or `error` (this choice failed and others did not).",
    "stop",
)
INDEX = FieldText("Position of the answer among the `n` answers, from 0.", 0)
_TOP = {"token": " Claude", "logprob": -0.31, "bytes": list(b" Claude"), "token_id": 24639}
_TOKEN = _TOP | {"top_logprobs": [_TOP]}
_LOGPROBS = FieldText("Log-probabilities of the answer's tokens, if the request has `logprobs`.", {"content": [_TOKEN]})
_PROMPT_LOGPROBS = FieldText(
    "Log-probabilities of the prompt's tokens, if the request has `prompt_logprobs`.", {"content": [_TOKEN]}
)
_TOKEN_FIELDS = {
    "token": FieldText(
        "Text of the token. One that is no text, such as half a character, is spelled by its bytes.", " Claude"
    ),
    "logprob": FieldText("Natural logarithm of the token's probability, at most 0.", -0.31),
    "bytes": FieldText("Bytes of the token, from 0 to 255.", list(b" Claude")),
    "token_id": FieldText("Id of the token in the model's vocabulary.", 24639),
}


def _completion(model: str, choices: object) -> dict[str, FieldText]:
    return {
        "id": ID,
        "object": FieldText("`chat.completion`.", "chat.completion"),
        "created": CREATED_AT,
        "model": FieldText("Name of the model, as in the request.", model),
        "choices": FieldText("The answers, `n` of them.", choices),
        "usage": FieldText("Numbers of tokens.", CHAT_ANSWER["usage"]),
    }


ANSWER_TEXTS: Mapping[str, SchemaText] = {
    "ChatCompletionResponse": SchemaText(
        "The answers to a chat request.", _completion(CHAT_MODEL, CHAT_ANSWER["choices"])
    ),
    "FIMCompletionResponse": SchemaText(
        "The texts for a place to fill in, each as the content of a message of the assistant.",
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
            "usage": FieldText("Numbers of tokens, in the last piece alone.", CHAT_ANSWER["usage"]),
            "choices": FieldText("Pieces of one or more answers.", CHUNK["choices"]),
        },
    ),
    "CompletionResponseStreamChoice": SchemaText(
        "A piece of one answer.",
        {
            "index": INDEX,
            "delta": FieldText("The piece, which is appended to those before it.", CHUNK["choices"][0]["delta"]),
            "finish_reason": FieldText(f"Null except in the answer's last piece. {FINISH.text}", None),
            "logprobs": FieldText(
                "Log-probabilities of the piece's tokens, if the request has `logprobs`.", {"content": [_TOKEN]}
            ),
            "prompt_logprobs": FieldText(
                "Log-probabilities of the prompt's tokens, in the first piece, if the request has `prompt_logprobs`.",
                {"content": [_TOKEN]},
            ),
        },
    ),
    "DeltaMessage": SchemaText(
        "A piece of a message.",
        {
            "role": FieldText("`assistant`, in the first piece.", "assistant"),
            "content": FieldText("More of the text; with reasoning, a list of chunks of thinking or text.", ANSWER[:6]),
            "tool_calls": FieldText(
                'Calls. The last piece has all of them, each whole; with the setting `stream_calls = "pieces"`, '
                "their arguments come in pieces that are joined by `index`.",
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
            "top_logprobs": FieldText("The most likely tokens at this position, `top_logprobs` of them.", [_TOP]),
        },
    ),
    "TopLogprob": SchemaText("A token that could stand at a position.", _TOKEN_FIELDS),
    "UsageInfo": SchemaText(
        "Numbers of tokens, as counted by the model's tokenizer.",
        {
            "prompt_tokens": FieldText("Tokens of the prompt.", 16),
            "completion_tokens": FieldText("Tokens of all answers; 0 for embeddings.", 34),
            "total_tokens": FieldText("Sum of both.", 50),
            "prompt_audio_seconds": FieldText(
                "Seconds of audio in the prompt. Always null or missing: models read text.", None
            ),
            "num_cached_tokens": FieldText("Tokens of the prompt that came from the cache, without computation.", 0),
            "prompt_tokens_details": FieldText("Details of the prompt's tokens.", {"cached_tokens": 0}),
            "prompt_token_details": FieldText(
                "Other spelling of `prompt_tokens_details` in the Mistral API. This server leaves it out.",
                {"cached_tokens": 0},
            ),
            "completion_tokens_details": FieldText(
                "Details of the answers' tokens, if the request has a `prediction`.",
                {"accepted_prediction_tokens": 21, "rejected_prediction_tokens": 4},
            ),
        },
    ),
    "PromptTokensDetails": SchemaText(
        "Details of the prompt's tokens.",
        {"cached_tokens": FieldText("Tokens that came from the cache, without computation.", 0)},
    ),
    "CompletionTokensDetails": SchemaText(
        "Details of the answers' tokens.",
        {
            "accepted_prediction_tokens": FieldText("Tokens of the prediction that are in the answer.", 21),
            "rejected_prediction_tokens": FieldText("Tokens of the prediction that were tried and are not in it.", 4),
        },
    ),
}
