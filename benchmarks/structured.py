"""Measure structured output: `python -m benchmarks.structured MODEL.gguf`.

A server writes documents that satisfy a JSON schema of 20 fields, and free texts of as many tokens, in alternating
order, first for one client, then for 16 at once. The servers are Ponant and, if it is found, llama-server with the same
file, in an order that alternates between rounds. Every document is checked. Then the program measures the cost of
following a grammar for each token, in this process and without the model.
"""

import argparse
import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from statistics import mean, median

import numpy as np

from benchmarks.cli import (
    add_llama_server,
    add_model,
    add_output,
    add_ponant,
    add_rounds,
    add_threads,
    make_parser,
    run,
)
from benchmarks.comparisons import compare_all, format_introduction, format_table, has_failures, run_rounds
from benchmarks.documents import CHECK, EXAMPLE, SCHEMA, Documents
from benchmarks.report import Table, publish, seconds, timed, write
from benchmarks.servers import Setup, find_llama_server, find_ponant, open_resources
from benchmarks.tool_calls import TOOLS
from ponant.api.chat import Tool
from ponant.api.messages import UserMessage
from ponant.engine.llama.grammar import Grammar, GrammarTokenizer
from ponant.llamacpp.vocabulary import GGUFVocabulary
from ponant.prompts.answer.spec import AnswerSpec
from ponant.prompts.chat.prompt import PromptBuilder

SETUP = Setup("documents", parallel=16, cells=16_384)
LOADS = (Documents(clients=1, pairs=4), Documents(clients=16, pairs=2, first_number=100))

REPEATS = 20
CONTEXT = 8_192
TEXT = "That can be said without looking anything up. " * 8
CALL = {
    "name": "search_flights",
    "arguments": {"origin": "Tokyo", "destination": "Sydney", "passengers": 2, "travel_class": "business"},
}
TIMES = [f"{kind} {figure}" for kind in ("mask", "accept", "forced") for figure in ("p50", "mean", "worst")]


def main() -> int:
    """Run the program; return its exit code: 1 when a request failed."""
    arguments = parse_arguments()
    ponant = find_ponant(arguments.ponant)
    peers = find_llama_server(arguments.llama_server)
    comparisons = [compare_all(ponant, peers, SETUP, load) for load in LOADS]
    with open_resources(ponant, arguments.model, arguments.threads) as resources:
        outcomes = run_rounds(comparisons, resources, arguments.rounds)
    lines = [
        *format_introduction([ponant, *peers], arguments.threads, arguments.rounds, comparisons),
        f"- Documents are {CHECK}",
        "",
        *format_table(comparisons, outcomes),
        "",
        *measure_grammars(arguments.model),
    ]
    publish(lines)
    write(lines, arguments.output)
    return 1 if has_failures(outcomes) else 0


def parse_arguments() -> argparse.Namespace:
    """Parse the command line."""
    parser = make_parser("structured", __doc__)
    add_model(parser)
    add_rounds(parser)
    add_threads(parser)
    add_ponant(parser)
    add_llama_server(parser)
    add_output(parser, "also write the tables to a file")
    return parser.parse_args()


def measure_grammars(model: Path) -> Iterator[str]:
    """Yield the lines about the cost of grammars with a model's vocabulary."""
    vocabulary = GGUFVocabulary(model)
    making, tokenizer = timed(lambda: GrammarTokenizer(vocabulary._vocab, vocabulary.size, vocabulary.end_tokens))
    yield f"- Reading a vocabulary of {vocabulary.size:,} tokens, once for each model: {making:.2f} s"
    yield "- Times of mask, accept and forced: milliseconds per token"
    yield ""
    table = Table(("answer", "tokens", "of these forced, %", "compiling, ms", *TIMES), text=("answer",))
    yield from table.head()
    prompts = PromptBuilder(vocabulary, context=CONTEXT)
    for title, form, text in answers():
        source = prompts.build([UserMessage(content="Hello.")], spec=form).grammar
        assert source is not None
        compiling, grammar = timed(partial(Grammar, tokenizer, source))
        walk = Walk()
        for _ in range(REPEATS):
            walk.follow(grammar.copy(), tokenizer, text)
        yield table.row(title, *walk.format(compiling))


def answers() -> list[tuple[str, AnswerSpec, str]]:
    """Return the answers that are followed: a title, the form of the answer, and its text."""
    tools = tuple(Tool.model_validate(tool) for tool in TOOLS)
    either = AnswerSpec(tools, tuple(tool.function for tool in tools), "auto")
    return [
        ("a document of 20 fields", AnswerSpec(schema=SCHEMA), json.dumps(EXAMPLE)),
        ("text, where it could be a call of five tools", either, TEXT),
        ("a call, where it could be text", either, json.dumps(CALL)),
    ]


@dataclass(slots=True)
class Walk:
    """The times of following a grammar along an answer, once or several times, in seconds.

    Attributes:
        tokens: Tokens of the answers.
        forced: Tokens that the grammar forces, which are not drawn.
        masks: Time to mask the logits, for each drawn token.
        accepts: Time to accept a token.
        looks: Time to look for forced tokens.
    """

    tokens: int = 0
    forced: int = 0
    masks: list[float] = field(default_factory=list[float])
    accepts: list[float] = field(default_factory=list[float])
    looks: list[float] = field(default_factory=list[float])

    def follow(self, grammar: Grammar, tokenizer: GrammarTokenizer, text: str) -> None:
        """Repeat the steps of a sequence in the engine: draw a token, accept it, accept the forced tokens after it."""
        logits = np.empty(tokenizer.vocabulary_size, dtype=np.float32)
        rest = text.encode()
        while rest:
            token = tokenizer.tokenizer.tokenize_bytes(rest)[0]
            logits[:] = 0
            self.masks.append(seconds(lambda: grammar.mask(logits)))
            if not np.isfinite(logits[token]):
                raise ValueError(f"the grammar does not allow {rest.decode()!r}")
            rest = self._accept(grammar, tokenizer, token, rest)
            if grammar.done:
                return
            duration, forced = timed(grammar.forced)
            self.looks.append(duration)
            self.forced += len(forced)
            for token in forced:
                rest = self._accept(grammar, tokenizer, token, rest)

    def _accept(self, grammar: Grammar, tokenizer: GrammarTokenizer, token: int, rest: bytes) -> bytes:
        """Accept a token; return the text after it."""
        self.tokens += 1
        self.accepts.append(seconds(lambda: grammar.accept(token)))
        return rest.removeprefix(tokenizer.tokenizer.decode_bytes([token]))

    def format(self, compiling: float) -> Iterator[str]:
        """Yield the cells of a row of the table."""
        yield str(self.tokens // REPEATS)
        yield f"{100 * self.forced / self.tokens:.0f}"
        yield f"{1000 * compiling:.1f}"
        for times in (self.masks, self.accepts, self.looks):
            yield from (f"{1000 * figure:.3f}" for figure in (median(times), mean(times), max(times)))


if __name__ == "__main__":
    run(main)
