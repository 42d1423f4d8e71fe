"""Steps: the tokens that are computed in one batch."""

from collections import abc
from dataclasses import dataclass

from ponant.engine.llama.kv_cache import Operation
from ponant.engine.llama.sequence import Sequence
from ponant.engine.llama.step_costs import StepTime


@dataclass(frozen=True, slots=True)
class Chunk:
    """Tokens of a sequence in a step.

    Attributes:
        sequence: the sequence.
        start: index of the first token.
        length: number of tokens.
        draws: a token is drawn from the logits of the last token, and one from those of each accepted draft token.
        draft: guesses of the following tokens, which are computed after them.
        scored: number of the last tokens, before the one that draws, with whose logits the next ones are scored.
    """

    sequence: Sequence
    start: int
    length: int
    draws: bool
    draft: abc.Sequence[int] = ()
    scored: int = 0

    @property
    def rows(self) -> int:
        """Number of rows of logits, of the last tokens with those of the draft."""
        return self.scored + (1 + len(self.draft) if self.draws else 0)

    @property
    def decodes(self) -> bool:
        """True if the chunk is part of a completion, or has a single token."""
        return self.length == 1 or self.start >= self.sequence.prompt_length


@dataclass(frozen=True, slots=True)
class Step:
    """Operations on the KV cache, followed by one batch.

    Attributes:
        operations: operations in their order.
        chunks: tokens of the batch, all with the same adapter.
        delayed: number of tokens of running completions that wait for the step.
    """

    operations: list[Operation]
    chunks: list[Chunk]
    delayed: int = 0

    @property
    def adapter(self) -> str | None:
        """Id of the adapter that the chunks are computed with; None for the base model."""
        return self.chunks[0].sequence.adapter

    @property
    def decoded(self) -> int:
        """Number of tokens of running completions, drafts included."""
        return sum(chunk.length + len(chunk.draft) for chunk in self.chunks if chunk.decodes)

    @property
    def prefilled(self) -> int:
        """Number of tokens of prompts."""
        return sum(chunk.length for chunk in self.chunks if not chunk.decodes)

    def timed(self, seconds: float) -> StepTime:
        """Return the step's size with its duration."""
        scores = any(chunk.scored for chunk in self.chunks)
        return StepTime(self.decoded, self.prefilled, self.depth, seconds, self.delayed, scores)

    @property
    def depth(self) -> int:
        """Number of tokens before the deepest chunk of a prompt."""
        return max((chunk.start for chunk in self.chunks if not chunk.decodes), default=0)


def next_chunk(sequence: Sequence, length: int) -> Chunk:
    """Return the next ``length`` tokens of a sequence."""
    start = sequence.computed
    scored = min(start + length, sequence.prompt_length - 1) - max(start, sequence.scored) if sequence.scores else 0
    return Chunk(sequence, start, length, draws=length == sequence.remaining, scored=max(0, scored))


def within_rows(chunks: abc.Iterable[Chunk], most_rows: int) -> list[Chunk]:
    """Return chunks, with those that score shortened so that a step has at most ``most_rows`` rows of logits.

    Every chunk keeps one row, for which there must be room.
    """
    fitting = list(chunks)
    spare = most_rows - len(fitting)
    for index, chunk in enumerate(fitting):
        if chunk.scored:
            excess = max(0, chunk.rows - 1 - spare)
            fitting[index] = next_chunk(chunk.sequence, chunk.length - excess)
            spare -= fitting[index].rows - 1
    return fitting
