"""Schedulers, sequences and single steps for tests."""

from collections.abc import Callable, Iterable

from ponant.engine.base import Delta, Sampling
from ponant.engine.llama.drafting import Drafter, DraftText
from ponant.engine.llama.kv_cache import KVCache
from ponant.engine.llama.prefill import BurstPrefill
from ponant.engine.llama.prefix_store import PrefixStore
from ponant.engine.llama.scheduler import Scheduler
from ponant.engine.llama.sequence import Draw, Sequence
from ponant.engine.llama.step import Step
from ponant.engine.llama.step_costs import StepCosts

END = 0
WORD = 1


def scheduler(
    *,
    cells: int = 4096,
    parallel: int = 4,
    batch_tokens: int = 512,
    shares: bool = False,
    stored: int = 2000,
    deterministic: bool = False,
    most_draws: int = 0,
) -> Scheduler:
    costs = StepCosts()
    return Scheduler(
        cache=KVCache(
            cells=cells, slots=parallel + (8 if shares else 0), store=PrefixStore(stored) if shares else None
        ),
        parallel=parallel,
        batch_tokens=batch_tokens,
        end_tokens=frozenset({END}),
        costs=costs,
        prefill=BurstPrefill(costs, batch_tokens),
        most_draws=most_draws,
        deterministic=deterministic,
    )


def completion(
    request_id: int,
    prompt: int | list[int],
    *,
    choice: int = 0,
    max_tokens: int | None = 1000,
    context: int = 4096,
    greedy: bool = False,
    repeatable: bool = False,
    prediction: list[int] | None = None,
    drafts: bool = False,
    adapter: str | None = None,
) -> Sequence:
    """Return a sequence; a number as its prompt stands for that many tokens that no other request has."""
    tokens = [1000 * request_id + index for index in range(prompt)] if isinstance(prompt, int) else prompt
    drafter = Drafter(DraftText(tokens), DraftText(prediction) if prediction else None)
    return Sequence(
        request_id,
        choice,
        tokens,
        seed=0,
        sampling=Sampling(temperature=0 if greedy else 1),
        repeatable=repeatable,
        drafter=drafter if drafts or prediction else None,
        max_tokens=max_tokens,
        min_tokens=0,
        context=context,
        adapter=adapter,
    )


def drawn_as(token: int | None) -> Draw | None:
    return None if token is None else Draw(token)


def step_of(scheduler: Scheduler) -> Step:
    step = scheduler.next_step()
    assert step
    return step


def run(scheduler: Scheduler, draw: Callable[[Sequence], int | None] = lambda _: WORD) -> tuple[Step, list[Delta]]:
    """Run one step with tokens from ``draw``."""
    step = step_of(scheduler)
    assert not any(chunk.draft for chunk in step.chunks)
    drawn = [[drawn_as(draw(chunk.sequence))] for chunk in step.chunks if chunk.draws]
    deltas = scheduler.advance(step, drawn)
    return step, [delta for _, delta in deltas]


def lengths(step: Step) -> dict[int, int]:
    """Return the number of computed tokens by request."""
    return {chunk.sequence.request_id: chunk.length for chunk in step.chunks}


def ids(sequences: Iterable[Sequence]) -> list[int]:
    return [sequence.request_id for sequence in sequences]
