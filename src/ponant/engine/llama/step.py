"""What is computed in one batch: chunks of sequences."""

from collections.abc import Iterator
from collections.abc import Sequence as Rows
from dataclasses import dataclass

from ponant.engine.llama.kv_cache import Operation
from ponant.engine.llama.sequence import Sequence


@dataclass(frozen=True, slots=True)
class Chunk:
    """``length`` tokens of a sequence from ``start`` on, and then ``draft``: guesses of the tokens to come.

    ``draws``: the logits of the last token and of each guess give tokens, for as long as the guesses are right.
    """

    sequence: Sequence
    start: int
    length: int
    draws: bool
    draft: Rows[int] = ()

    @property
    def decodes(self) -> bool:
        """Whether this is one of a completion's own tokens, or as short as one."""
        return self.length == 1 or self.start >= self.sequence.prompt_length


@dataclass(frozen=True, slots=True)
class Step:
    """What to do next: the operations on the KV cache in their order, then the chunks in one batch.

    All chunks are computed with the same adapter. ``delayed`` tokens of running completions that have another one wait
    meanwhile.
    """

    operations: list[Operation]
    chunks: list[Chunk]
    delayed: int = 0

    @property
    def adapter(self) -> str | None:
        """What the chunks are computed with, None for the model as it is."""
        return self.chunks[0].sequence.adapter

    @property
    def decoded(self) -> int:
        """How many tokens of running completions are computed in this step, guessed ones included."""
        return sum(chunk.length + len(chunk.draft) for chunk in self.chunks if chunk.decodes)

    @property
    def prefilled(self) -> int:
        """How many tokens of prompts are computed in this step."""
        return sum(chunk.length for chunk in self.chunks if not chunk.decodes)

    @property
    def depth(self) -> int:
        """How many tokens lie before the deepest of the tokens of prompts."""
        return max((chunk.start for chunk in self.chunks if not chunk.decodes), default=0)


def next_chunk(sequence: Sequence, length: int) -> Chunk:
    """The next ``length`` tokens of a sequence."""
    return Chunk(sequence, sequence.computed, length, draws=length == sequence.remaining)


def shares(prefilling: list[Sequence], budget: int) -> Iterator[tuple[Sequence, int]]:
    """Divide the prefill of a step: half for the one that came first, the rest for those with the least to do.

    So short prompts overtake long ones, and a long one still moves on under any number of short ones.
    """
    if not prefilling or budget <= 0:
        return
    first, *others = prefilling
    others.sort(key=lambda sequence: sequence.remaining)
    kept_for_others = min(budget // 2, sum(sequence.remaining for sequence in others))
    length = min(first.remaining, budget - kept_for_others)
    yield first, length
    budget -= length
    for sequence in others:
        if budget <= 0:
            return
        length = min(sequence.remaining, budget)
        yield sequence, length
        budget -= length
