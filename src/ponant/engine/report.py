"""Figures of a running engine."""

import msgspec


class StepReport(msgspec.Struct, tag=True, frozen=True):
    """Load of an engine at present, and totals since its worker started.

    Attributes:
        running: sequences that are computed.
        waiting: sequences in the queue, without those whose grammar is being compiled.
        cells_used: cells of the KV cache that running sequences use.
        cells_kept: cells that only finished sequences use.
        tokens_stored: tokens in the prefix store.
        steps: total number of steps.
        step_seconds: total duration of the steps.
        computed_tokens: total of the tokens of prompts and completions that were computed, drafts included.
        drawn_tokens: total of the tokens of completions.
        cached_tokens: total of the prompts' tokens that were reused instead of computed.
    """

    running: int = 0
    waiting: int = 0
    cells_used: int = 0
    cells_kept: int = 0
    tokens_stored: int = 0
    steps: int = 0
    step_seconds: float = 0.0
    computed_tokens: int = 0
    drawn_tokens: int = 0
    cached_tokens: int = 0
