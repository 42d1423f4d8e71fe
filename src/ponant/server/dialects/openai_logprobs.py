"""Log-probabilities in OpenAI's format, translated from those of the Mistral API."""

from collections.abc import Sequence

from ponant.server.dialects.base import Json

_FIELDS = ("token", "logprob", "bytes")


def chat_logprobs(content: Sequence[Json]) -> list[Json]:
    """Return the log-probabilities of a chat completion's tokens, without the ids."""
    return [
        {**_known(token), "top_logprobs": [_known(likely) for likely in token["top_logprobs"]]} for token in content
    ]


def text_logprobs(content: Sequence[Json], *, with_prompt: bool) -> Json:
    """Return the log-probabilities of a text completion's tokens as parallel lists.

    ``with_prompt`` is True if they begin with those of the prompt, whose first token has none.
    """
    first: list[None] = [None] if with_prompt else []
    known = content[len(first) :]
    return {
        "tokens": [token["token"] for token in content],
        "token_logprobs": [*first, *(token["logprob"] for token in known)],
        "top_logprobs": [*first, *map(_likeliest, known)],
        "text_offset": [token["text_offset"] for token in content],
    }


def _known(token: Json) -> Json:
    return {name: token[name] for name in _FIELDS}


def _likeliest(token: Json) -> dict[str, float]:
    """Return the log-probabilities of the most likely tokens and of the token itself, by their texts.

    Different tokens may have the same text. The token itself keeps it, of others the first one; the others are spelled
    by their bytes, or else by their ids.
    """
    own = token["token_id"]
    likely = token["top_logprobs"]
    if all(other["token_id"] != own for other in likely):
        likely = [*likely, token]
    spelled: dict[str, float] = {}
    for other in likely:
        name = other["token"]
        if other["token_id"] != own and (name in spelled or name == token["token"]):
            name = "bytes:" + "".join(f"\\x{byte:02x}" for byte in other["bytes"])
        if name in spelled:
            name = f"token_id:{other['token_id']}"
        spelled[name] = other["logprob"]
    return spelled
