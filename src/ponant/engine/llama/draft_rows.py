"""Drafts of a step: the rows that verify guesses of the following tokens."""

from dataclasses import replace

from ponant.engine.llama.drafting import choose_lengths
from ponant.engine.llama.sequence import Sequence
from ponant.engine.llama.step import Chunk
from ponant.engine.llama.step_costs import USUAL_COSTS, StepCosts


def with_drafts(chunks: list[Chunk], most_rows: int, costs: StepCosts) -> list[Chunk]:
    """Add drafts to chunks of completions where they pay, up to ``most_rows`` tokens in all."""
    drafts = [_guess(chunk.sequence) for chunk in chunks]
    if not any(draft for draft, _ in drafts):
        return chunks
    rows = sum(chunk.length for chunk in chunks)
    room = max(0, most_rows - rows)
    if any(chunk.sequence.repeatable for chunk in chunks):
        seconds = USUAL_COSTS.seconds(rows + room)  # measured costs would make results depend on time
    else:
        seconds = costs.rows.seconds(rows + room)
    if seconds is None:
        return chunks
    lengths = choose_lengths([(len(draft), trust) for draft, trust in drafts], rows, seconds)
    return [
        replace(chunk, draft=draft[:length]) if length else chunk
        for chunk, (draft, _), length in zip(chunks, drafts, lengths, strict=True)
    ]


def _guess(sequence: Sequence) -> tuple[list[int], float]:
    limit = sequence.limit - len(sequence.tokens) - 1
    return sequence.drafter.draft(limit) if sequence.drafter and limit > 0 else ([], 0.0)
