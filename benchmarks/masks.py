"""What following a grammar costs for each token, in the engine but without its model."""

import json
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from statistics import mean, median
from typing import TypeVar

import numpy as np

from benchmarks.forms import EXAMPLE, SCHEMA
from benchmarks.tool_questions import TOOLS
from ponant.api.chat import Tool
from ponant.api.messages import UserMessage
from ponant.engine.llama.grammar import Grammar, GrammarTokenizer
from ponant.llamacpp.vocabulary import Vocabulary
from ponant.prompts.answer.spec import AnswerSpec
from ponant.prompts.chat.prompt import PromptBuilder

REPEATS = 20
CONTEXT = 8_192
TEXT = "That can be said without looking anything up. " * 8
CALL = {
    "name": "search_flights",
    "arguments": {"origin": "Tokyo", "destination": "Sydney", "passengers": 2, "travel_class": "business"},
}

Result = TypeVar("Result")


@dataclass(slots=True)
class Walk:
    """How long it took to follow a grammar along an answer, once or several times. Times are in seconds.

    Attributes:
        tokens: How many tokens the answers had.
        forced: How many of them need not be drawn.
        masks: Of finding what may come next and striking all else from the logits, for each token drawn.
        accepts: Of taking note of a token.
        looks: Of looking for forced tokens.
    """

    tokens: int = 0
    forced: int = 0
    masks: list[float] = field(default_factory=list[float])
    accepts: list[float] = field(default_factory=list[float])
    looks: list[float] = field(default_factory=list[float])

    def follow(self, grammar: Grammar, tokenizer: GrammarTokenizer, text: str) -> None:
        """Go the way of a sequence in the engine: draw a token, take it, look for forced ones, take those."""
        logits = np.empty(tokenizer.vocabulary_size, dtype=np.float32)
        rest = text.encode()
        while rest:
            token = tokenizer.tokenizer.tokenize_bytes(rest)[0]
            logits[:] = 0
            self.masks.append(seconds(lambda: grammar.mask(logits)))
            if not np.isfinite(logits[token]):
                raise ValueError(f"the grammar does not allow {rest.decode()!r}")
            rest = self.take(grammar, tokenizer, token, rest)
            if grammar.done:
                return
            duration, forced = timed(grammar.forced)
            self.looks.append(duration)
            self.forced += len(forced)
            for token in forced:
                rest = self.take(grammar, tokenizer, token, rest)

    def take(self, grammar: Grammar, tokenizer: GrammarTokenizer, token: int, rest: bytes) -> bytes:
        """Take a token; return what of the text is left after it."""
        self.tokens += 1
        self.accepts.append(seconds(lambda: grammar.accept(token)))
        return rest.removeprefix(tokenizer.tokenizer.decode_bytes([token]))


def measure_masks(model: Path) -> Iterator[str]:
    """Return the lines of a report on a model's vocabulary."""
    vocabulary = Vocabulary(model)
    making, tokenizer = timed(lambda: GrammarTokenizer(vocabulary._vocab, vocabulary.size, vocabulary.end_tokens))
    yield f"- Reading a vocabulary of {vocabulary.size:,} tokens, once for each model: {making:.2f} s"
    yield ""
    yield (
        "| answer | tokens | of these forced, % | compiling, ms | mask p50 | mean | worst "
        "| accept p50 | mean | worst | forced p50 | mean | worst |"
    )
    yield f"|---|{'---:|' * 12}"
    prompts = PromptBuilder(vocabulary, context=CONTEXT)
    for title, spec, text in answers():
        source = prompts.build([UserMessage(content="Hello.")], spec=spec).grammar
        assert source is not None
        compiling, grammar = timed(partial(Grammar, tokenizer, source))
        walk = Walk()
        for _ in range(REPEATS):
            walk.follow(grammar.copy(), tokenizer, text)
        yield format_walk(title, compiling, walk)


def answers() -> list[tuple[str, AnswerSpec, str]]:
    """Return the answers that are followed: what each is, the form it obeys, its text."""
    tools = tuple(Tool.model_validate(tool) for tool in TOOLS)
    either = AnswerSpec(tools, tuple(tool.function for tool in tools), "auto")
    return [
        ("a document of 20 fields", AnswerSpec(schema=SCHEMA), json.dumps(EXAMPLE)),
        ("text, where it could be a call of five tools", either, TEXT),
        ("a call, where it could be text", either, json.dumps(CALL)),
    ]


def format_walk(title: str, compiling: float, walk: Walk) -> str:
    """Return a row of the report."""
    times = [
        f"{1000 * figure:.3f}"
        for kind in (walk.masks, walk.accepts, walk.looks)
        for figure in (median(kind), mean(kind), max(kind))
    ]
    tokens = f"{walk.tokens // REPEATS} | {100 * walk.forced / walk.tokens:.0f}"
    return f"| {title} | {tokens} | {1000 * compiling:.1f} | {' | '.join(times)} |"


def seconds(function: Callable[[], object]) -> float:
    """Return how long a call took."""
    return timed(function)[0]


def timed(function: Callable[[], Result]) -> tuple[float, Result]:
    """Call a function; return how long it took, and what it returned."""
    began = time.perf_counter()
    result = function()
    return time.perf_counter() - began, result
