"""What is computed in one batch: chunks of sequences."""

from collections import abc
from dataclasses import dataclass

from ponant.engine.llama.kv_cache import Operation
from ponant.engine.llama.sequence import Sequence
from ponant.engine.llama.step_costs import StepTime


@dataclass(frozen=True, slots=True)
class Chunk:
    """``length`` tokens of a sequence from ``start`` on, and then ``draft``: guesses of the tokens to come.

    ``draws``: the logits of the last token and of each guess give tokens, for as long as the guesses are right.
    """

    sequence: Sequence
    start: int
    length: int
    draws: bool
    draft: abc.Sequence[int] = ()

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

    def timed(self, seconds: float) -> StepTime:
        """Return the step's size with its duration."""
        return StepTime(self.decoded, self.prefilled, self.depth, seconds, self.delayed)

    @property
    def depth(self) -> int:
        """How many tokens lie before the deepest of the tokens of prompts."""
        return max((chunk.start for chunk in self.chunks if not chunk.decodes), default=0)


def next_chunk(sequence: Sequence, length: int) -> Chunk:
    """The next ``length`` tokens of a sequence."""
    return Chunk(sequence, sequence.computed, length, draws=length == sequence.remaining)
