"""Completions that follow a grammar, with real workers."""

import json
import string
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from llguidance import LLMatcher

from ponant.engine.base import Delta, GenerateRequest, Sampling
from ponant.engine.llama.process import EngineProcess
from ponant.llamacpp.vocabulary import GGUFVocabulary
from tests.engine.llama.test_process import engine

SCHEMA = {
    "type": "object",
    "properties": {
        "first_name": {"type": "string", "maxLength": 8},
        "age_in_years": {"type": "integer", "minimum": 0, "maximum": 150},
        "is_married": {"type": "boolean"},
    },
    "required": ["first_name", "age_in_years", "is_married"],
    "additionalProperties": False,
    "x-guidance": {"whitespace_flexible": False, "item_separator": ", ", "key_separator": ": "},
}
GRAMMAR = LLMatcher.grammar_from_json_schema(json.dumps(SCHEMA))


@pytest.fixture(scope="module")
async def bundled(bundled_model: Path) -> AsyncIterator[EngineProcess]:
    async with engine(bundled_model, context=512) as process:
        yield process


@pytest.fixture(scope="module")
async def tiny(tiny_model: Path) -> AsyncIterator[EngineProcess]:
    async with engine(tiny_model, context=512) as process:
        yield process


async def completions(process: EngineProcess, model: Path, **fields: object) -> tuple[list[str], list[list[Delta]]]:
    """Return the texts of a request's choices, and their deltas."""
    vocabulary = GGUFVocabulary(model)
    prompt = vocabulary.tokenize("A person as JSON:\n", control=False)
    asked: dict[str, object] = {
        "seeds": [1, 2, 3],
        "grammar": GRAMMAR,
        "sampling": Sampling(temperature=1.0),
        "repeatable": True,
    }
    asked |= fields
    deltas: list[list[Delta]] = [[] for _ in range(3)]
    async for delta in process.generate(GenerateRequest(prompt, **asked)):  # type: ignore[arg-type]
        deltas[delta.choice].append(delta)
    pieces = [[vocabulary.piece(token) for delta in choice for token in delta.tokens] for choice in deltas]
    return [b"".join(choice).decode() for choice in pieces], deltas


async def test_every_choice_follows_the_schema_and_forced_tokens_come_several_at_a_time(
    bundled: EngineProcess, bundled_model: Path
) -> None:
    texts, deltas = await completions(bundled, bundled_model, max_tokens=200)
    for text, choice in zip(texts, deltas, strict=True):
        person = json.loads(text)
        assert list(person) == SCHEMA["required"]
        assert len(person["first_name"]) <= 8
        assert 0 <= person["age_in_years"] <= 150
        assert choice[-1].finish == "stop"
        assert any(len(delta.tokens) > 1 for delta in choice)


async def test_completion_cut_short_is_a_beginning_and_log_probabilities_are_of_every_token(
    tiny: EngineProcess, tiny_model: Path
) -> None:
    whole, _ = await completions(tiny, tiny_model, max_tokens=200, top_logprobs=0)
    cut, deltas = await completions(tiny, tiny_model, max_tokens=7, top_logprobs=0)
    assert all(text.startswith(beginning) for text, beginning in zip(whole, cut, strict=True))
    assert {choice[-1].finish for choice in deltas} == {"length"}
    assert all(len(delta.tokens) == len(delta.logprobs or []) for choice in deltas for delta in choice)


async def test_completion_that_is_complete_at_the_limit_is_not_cut(tiny: EngineProcess, tiny_model: Path) -> None:
    whole, deltas = await completions(tiny, tiny_model, max_tokens=200)
    lengths = [sum(len(delta.tokens) for delta in choice) for choice in deltas]
    shortest = min(lengths)
    texts, deltas = await completions(tiny, tiny_model, max_tokens=shortest)
    assert [choice[-1].finish for choice in deltas] == ["stop" if n == shortest else "length" for n in lengths]
    assert [text for text, n in zip(texts, lengths, strict=True) if n == shortest] == [
        text for text, n in zip(whole, lengths, strict=True) if n == shortest
    ]
    _, deltas = await completions(tiny, tiny_model, max_tokens=shortest - 1)
    assert [choice[-1].finish for choice in deltas] == ["length"] * 3


TOO_COMPLEX = "|".join(f".*{letter}.{{{place}}}" for place, letter in enumerate(string.ascii_letters))


@pytest.mark.parametrize("grammar", ["{no grammar", f'start: "(" /({TOO_COMPLEX})/ ")"'])
async def test_grammar_that_cannot_be_followed_fails_alone(
    bundled: EngineProcess, bundled_model: Path, grammar: str
) -> None:
    texts, deltas = await completions(bundled, bundled_model, grammar=grammar)
    assert texts == ["", "", ""]
    assert [choice[-1].finish for choice in deltas] == ["grammar"] * 3
    texts, _ = await completions(bundled, bundled_model, max_tokens=200)
    assert all(map(json.loads, texts))
