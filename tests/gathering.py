"""Whole answers gathered from the chunks of a stream, with checks of the rules for chunks."""

from collections.abc import Iterable, Iterator
from itertools import groupby
from typing import Any


def gathered(chunks: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the choices of a stream in the form of a whole answer."""
    choices: dict[int, list[dict[str, Any]]] = {}
    for chunk in chunks:
        for part in chunk["choices"]:
            choices.setdefault(part["index"], []).append(part)
    return [_choice(index, parts) for index, parts in sorted(choices.items())]


def _choice(index: int, parts: list[dict[str, Any]]) -> dict[str, Any]:
    *before, last = parts
    assert not any(part["finish_reason"] for part in before), "there is more after the end"
    assert last["finish_reason"], "there is no end"
    choice = {"index": index, "message": _message(parts), "finish_reason": last["finish_reason"]}
    logprobs = [entry for part in parts if "logprobs" in part for entry in part["logprobs"]["content"]]
    return choice | ({"logprobs": {"content": logprobs}} if logprobs else {})


def _message(parts: list[dict[str, Any]]) -> dict[str, Any]:
    deltas = [part["delta"] for part in parts]
    (role,) = [delta["role"] for delta in deltas if "role" in delta]
    calls = _calls(piece for delta in deltas for piece in delta.get("tool_calls", []))
    content = _content(piece for delta in deltas for piece in _pieces(delta["content"]))
    return {"role": role, "content": content or "", "tool_calls": calls or None}


def _calls(pieces: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    """Join the pieces of calls: the first has the id and the name, later ones only add to the arguments."""
    calls: list[dict[str, Any]] = []
    for piece in pieces:
        function = piece["function"]
        assert isinstance(function["arguments"], str)
        if piece["index"] == len(calls):
            assert piece.keys() == {"id", "type", "function", "index"}
            assert function["name"]
            calls.append(piece)
        else:
            assert piece["index"] == len(calls) - 1, "a call goes on after the next one has begun"
            assert piece.keys() == {"function", "index"}
            assert function["name"] == ""
            calls[-1]["function"]["arguments"] += function["arguments"]
    return calls


def _pieces(content: str | list[dict[str, Any]]) -> Iterator[tuple[str, str]]:
    if isinstance(content, str):
        yield from [("plain", content)] if content else []
        return
    for chunk in content:
        (text,) = [chunk] if chunk["type"] == "text" else chunk["thinking"]
        assert text["text"], "an empty chunk"
        yield chunk["type"], text["text"]


def _content(pieces: Iterable[tuple[str, str]]) -> str | list[dict[str, Any]]:
    """Join content: plain text, or thinking followed by text."""
    runs = [(kind, "".join(text for _, text in run)) for kind, run in groupby(pieces, lambda piece: piece[0])]
    kinds = [kind for kind, _ in runs]
    if kinds in ([], ["plain"]):
        return "".join(text for _, text in runs)
    assert kinds in (["thinking"], ["text"], ["thinking", "text"])
    return [
        {"type": kind, "text": text} if kind == "text" else {"type": kind, "thinking": [{"type": "text", "text": text}]}
        for kind, text in runs
    ]
