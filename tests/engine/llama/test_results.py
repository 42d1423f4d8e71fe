"""Results are independent of load, shared prefixes and drafts; with real workers."""

import asyncio
import random
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ponant.engine.base import FinishReason, GenerateRequest, Sampling, TokenLogprobs
from ponant.engine.llama.block_trie import BLOCK
from ponant.engine.llama.config import EngineConfig
from ponant.engine.llama.process import EngineProcess
from ponant.llamacpp.vocabulary import GGUFVocabulary
from tests.engine.llama.test_process import engine
from tests.serving import THREADS
from tests.soak import SOAK, examples, some
from tests.tiny_model import write_tiny_model

CONTEXT = 300
STEMS = [[3 + (index * factor + index // 50) % 250 for index in range(200)] for factor in (7, 11)]
ONE = Sampling(temperature=0.9)


@dataclass
class Outcome:
    """Result of one choice of a request."""

    tokens: list[int] = field(default_factory=list[int])
    logprobs: list[TokenLogprobs] = field(default_factory=list[TokenLogprobs])
    prompt_logprobs: list[TokenLogprobs] = field(default_factory=list[TokenLogprobs])
    finish: FinishReason | None = None
    cached_tokens: int = 0
    accepted: int = 0
    rejected: int = 0
    deltas: int = 0

    @property
    def result(self) -> tuple[list[int], list[TokenLogprobs], FinishReason | None]:
        """Part of the result that must always be the same."""
        return self.tokens, self.logprobs, self.finish

    def check(self, whole: "Outcome", *, exact: bool) -> None:
        """Check that this is the beginning of another outcome or, if it has ended, all of it.

        Without ``exact`` the log-probabilities are allowed to differ in rounding, as they do with the shape of batches.
        """
        if self.finish:
            assert (len(self.tokens), self.finish) == (len(whole.tokens), whole.finish)
        assert self.tokens == whole.tokens[: len(self.tokens)]
        check_logprobs(self.logprobs, whole.logprobs[: len(self.logprobs)], exact=exact)
        check_logprobs(self.prompt_logprobs, whole.prompt_logprobs[: len(self.prompt_logprobs)], exact=exact)


def check_logprobs(own: list[TokenLogprobs], others: list[TokenLogprobs], *, exact: bool) -> None:
    if exact:
        assert own == others
    assert [told.logprob for told in own] == pytest.approx([told.logprob for told in others], abs=1e-4)
    for told, other in zip(own, others, strict=True):
        assert [value for _, value in told.top] == pytest.approx([value for _, value in other.top], abs=1e-4)


async def outcomes_of(process: EngineProcess, asked: GenerateRequest, *, cancel_after: int = 0) -> list[Outcome]:
    """Return all choices of a request; with ``cancel_after`` only that many deltas of them."""
    outcomes = [Outcome() for _ in asked.seeds]
    deltas = 0
    generation = process.generate(asked)
    async for delta in generation:
        outcome = outcomes[delta.choice]
        outcome.tokens += delta.tokens
        outcome.logprobs += delta.logprobs or []
        if delta.prompt_logprobs:
            assert (delta.choice, len(outcome.tokens) - len(delta.tokens)) == (0, 0)
            outcome.prompt_logprobs += delta.prompt_logprobs
        if asked.prompt_logprobs is not None and delta.choice == 0 and (delta.tokens or delta.finish):
            assert len(outcome.prompt_logprobs) == len(asked.prompt) - 1
            assert delta.cached_tokens == 0
        outcome.finish = delta.finish
        assert outcome.deltas == 0 or delta.cached_tokens == outcome.cached_tokens
        outcome.cached_tokens = delta.cached_tokens
        assert delta.accepted >= outcome.accepted
        assert delta.rejected >= outcome.rejected
        outcome.accepted, outcome.rejected = delta.accepted, delta.rejected
        outcome.deltas += 1
        deltas += 1
        if deltas == cancel_after:
            generation.cancel()
    return outcomes


class Alone:
    """Outcomes of requests computed one choice at a time, without sharing or drafting."""

    def __init__(self, process: EngineProcess) -> None:
        self._process = process
        self._known: dict[bytes, Outcome] = {}

    async def outcome(self, asked: GenerateRequest, choice: int) -> Outcome:
        """Return the outcome of one choice."""
        one = msgspec.structs.replace(asked, seeds=[asked.seeds[choice]], prediction=[], repeatable=False)
        name = msgspec.json.encode(one)
        if name not in self._known:
            (self._known[name],) = await outcomes_of(self._process, one)
        return self._known[name]


@pytest.fixture(scope="module")
def ending_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Tiny model that sometimes draws an end-of-generation token."""
    path = tmp_path_factory.mktemp("models") / "ending.gguf"
    write_tiny_model(path, end_bias=-1)
    return path


@pytest.fixture(scope="module")
async def alone(ending_model: Path) -> AsyncIterator[Alone]:
    async with engine(ending_model, context=CONTEXT, prefix_cache=False, drafting=False, parallel=1) as process:
        yield Alone(process)


@dataclass(frozen=True)
class Visit:
    """Request with its arrival, its cancellation and its prediction."""

    request: GenerateRequest
    after: int
    """Milliseconds."""
    cancel_after: int
    """Deltas, 0 for never."""
    prediction: str


@st.composite
def visits(draw: st.DrawFn) -> Visit:
    stem = draw(st.sampled_from(STEMS))
    tail = draw(st.lists(st.integers(3, 250), min_size=1, max_size=6))
    sampling = draw(
        st.sampled_from(
            [
                Sampling(temperature=0),
                Sampling(temperature=0, frequency_penalty=1),
                ONE,
                Sampling(temperature=1.4),
                Sampling(temperature=0.8, top_p=0.9, presence_penalty=1, repetition_penalty=1.3),
                Sampling(temperature=0.8, top_k=30, frequency_penalty=-0.5),
                Sampling(temperature=0.9, logit_bias={40: 5, 41: -100, 42: 7.5}),
            ]
        )
    )
    request = GenerateRequest(
        [*stem[: draw(st.sampled_from([0, 1, 10, 63, 64, 65, 130, 200]))], *tail],
        draw(st.lists(st.integers(0, 3), min_size=1, max_size=3)),
        max_tokens=draw(st.sampled_from([0, 1, 2, 20, 40, 90])),
        min_tokens=draw(st.sampled_from([0, 0, 15])),
        sampling=sampling,
        repeatable=draw(st.booleans()),
        top_logprobs=draw(st.sampled_from([None, None, 0, 3])),
        prompt_logprobs=draw(st.sampled_from([None, None, None, 0, 2])),
    )
    return Visit(
        request,
        after=draw(st.sampled_from([0, 0, 5, 30])),
        cancel_after=draw(st.sampled_from([0, 0, 0, 1, 5])),
        prediction=draw(st.sampled_from(["none", "right", "right at first", "edited", "wrong"])),
    )


def prediction(kind: str, answer: list[int]) -> list[int]:
    match kind:
        case "right":
            return answer
        case "right at first":
            return [*answer[: len(answer) // 2], *STEMS[0][:50]]
        case "edited":
            return [*answer[:5], 9, 9, *answer[8:20], *answer[22:]]
        case "wrong":
            return STEMS[1][:60]
        case _:
            return []


async def check_visit(process: EngineProcess, visit: Visit, expected: list[Outcome], *, exact: bool) -> None:
    asked = msgspec.structs.replace(visit.request, prediction=prediction(visit.prediction, expected[0].tokens))
    await asyncio.sleep(visit.after / 1000)
    outcomes = await outcomes_of(process, asked, cancel_after=visit.cancel_after)
    for outcome, alone in zip(outcomes, expected, strict=True):
        assert outcome.finish or visit.cancel_after
        outcome.check(alone, exact=exact)


ON_THE_BORDER: list[str] = []
"""Mixes that needed a second try."""


async def check_visits(process: EngineProcess, alone: Alone, together: list[Visit], *, exact: bool = False) -> None:
    """Each request must give the same result as alone.

    A batch of another shape rounds differently by some 3e-6, even in F32. Once in some hundred thousand draws the
    random number is that close to the border between two tokens: one mix in a run may need a second try.
    """
    expected = [
        [await alone.outcome(visit.request, choice) for choice in range(len(visit.request.seeds))] for visit in together
    ]

    async def check() -> None:
        async with asyncio.timeout(60):
            await asyncio.gather(
                *(
                    check_visit(process, visit, outcomes, exact=exact)
                    for visit, outcomes in zip(together, expected, strict=True)
                )
            )

    try:
        await check()
    except AssertionError as error:
        if exact or ON_THE_BORDER or all(visit.request.sampling.temperature == 0 for visit in together):
            raise
        ON_THE_BORDER.append(str(error))
        await check()


mixes = st.lists(visits(), min_size=1, max_size=8)
few = settings(
    deadline=None,
    max_examples=examples(40),
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow, HealthCheck.data_too_large],
)


@pytest.fixture(scope="module")
async def roomy(ending_model: Path) -> AsyncIterator[EngineProcess]:
    async with engine(ending_model, context=CONTEXT) as process:
        yield process


@pytest.fixture(scope="module")
async def tight(ending_model: Path, roomy: EngineProcess) -> AsyncIterator[EngineProcess]:
    """Engine whose KV cache holds little more than one long sequence."""
    bytes_per_token = roomy.info.kv_memory // roomy.info.kv_cells
    async with engine(ending_model, context=CONTEXT, kv_memory=(CONTEXT + 40) * bytes_per_token, parallel=4) as process:
        assert process.info.kv_cells < 2 * CONTEXT
        yield process


@pytest.fixture(scope="module")
async def plain(ending_model: Path) -> AsyncIterator[EngineProcess]:
    async with engine(ending_model, context=CONTEXT, prefix_cache=False) as process:
        yield process


@pytest.fixture(scope="module")
async def fast_deterministic(ending_model: Path) -> AsyncIterator[EngineProcess]:
    """Default arithmetic, which depends on the shape of batches, so shapes must not change."""
    async with engine(
        ending_model, context=CONTEXT, parallel=4, deterministic=True, flash_attention=True, kv_type="f16"
    ) as process:
        yield process


@few
@given(mixes)
async def test_results_do_not_depend_on_batching(roomy: EngineProcess, alone: Alone, together: list[Visit]) -> None:
    await check_visits(roomy, alone, together)


@few
@given(mixes)
async def test_results_do_not_depend_on_memory(tight: EngineProcess, alone: Alone, together: list[Visit]) -> None:
    await check_visits(tight, alone, together)


@settings(few, max_examples=10)
@given(mixes)
async def test_results_do_not_depend_on_drafting_alone(
    plain: EngineProcess, alone: Alone, together: list[Visit]
) -> None:
    await check_visits(plain, alone, together)


@settings(few, max_examples=12)
@given(mixes)
async def test_deterministic_results_do_not_depend_on_batching(
    fast_deterministic: EngineProcess, together: list[Visit]
) -> None:
    await check_visits(fast_deterministic, Alone(fast_deterministic), together, exact=True)


def asked_for(
    seed: int = 0, *, max_tokens: int = 60, prediction: list[int] | None = None, sampling: Sampling = ONE
) -> GenerateRequest:
    return GenerateRequest(
        STEMS[0][:20],
        [seed],
        max_tokens=max_tokens,
        sampling=sampling,
        prediction=prediction or [],
        min_tokens=1000,
        repeatable=True,  # makes the length of drafts independent of the machine
    )


@pytest.mark.parametrize("sampling", [ONE, Sampling(temperature=0), Sampling(temperature=1.4, frequency_penalty=1)])
async def test_true_prediction_is_accepted(tiny_model: Path, sampling: Sampling) -> None:
    async with engine(tiny_model) as process:
        (without,) = await outcomes_of(process, asked_for(sampling=sampling))
        (outcome,) = await outcomes_of(process, asked_for(sampling=sampling, prediction=without.tokens))
    assert outcome.result == without.result
    assert outcome.accepted > 20
    assert outcome.rejected == 0
    assert outcome.accepted + outcome.deltas == len(outcome.tokens)


async def test_each_choice_finds_out_itself_whether_the_prediction_is_right(tiny_model: Path) -> None:
    async with engine(tiny_model) as process:
        (first,) = await outcomes_of(process, asked_for(0))
        request = msgspec.structs.replace(asked_for(prediction=first.tokens), seeds=[0, 1, 2])
        outcomes = await outcomes_of(process, request)
        separate = [(await outcomes_of(process, asked_for(seed)))[0].result for seed in range(3)]
    assert [outcome.result for outcome in outcomes] == separate
    assert outcomes[0].accepted > 20
    assert outcomes[0].rejected == 0
    assert outcomes[1].accepted < 10


async def test_useless_prediction_changes_nothing(tiny_model: Path) -> None:
    useless = [random.Random(1).randint(3, 250) for _ in range(200)]
    async with engine(tiny_model) as process:
        (without,) = await outcomes_of(process, asked_for())
        (outcome,) = await outcomes_of(process, asked_for(prediction=useless))
    assert outcome.result == without.result
    assert outcome.accepted < 5
    assert outcome.rejected < 70  # the first guess may be a long one


async def test_prediction_that_is_partly_right_is_found_again(tiny_model: Path) -> None:
    async with engine(tiny_model) as process:
        (without,) = await outcomes_of(process, asked_for(max_tokens=200))
        edited = [*without.tokens[:60], 9, *without.tokens[61:120], *without.tokens[125:]]
        (outcome,) = await outcomes_of(process, asked_for(max_tokens=200, prediction=edited))
    assert outcome.result == without.result
    assert outcome.accepted > 80


@pytest.mark.parametrize("options", [{"drafting": False}, {"deterministic": True}])
async def test_nothing_is_drafted_where_that_is_off(tiny_model: Path, options: dict[str, bool]) -> None:
    async with engine(tiny_model, context=256, parallel=2, **options) as process:
        (without,) = await outcomes_of(process, asked_for())
        (outcome,) = await outcomes_of(process, asked_for(prediction=without.tokens))
    assert outcome.result == without.result
    assert (outcome.accepted, outcome.rejected) == (0, 0)
    assert outcome.deltas == len(outcome.tokens)


@pytest.mark.parametrize("options", [{}, {"drafting": False}, {"deterministic": True}])
async def test_log_probabilities_come_with_every_token(tiny_model: Path, options: dict[str, bool]) -> None:
    async with engine(tiny_model, context=256, parallel=2, **options) as process:
        (plain,) = await outcomes_of(process, asked_for(max_tokens=30))
        request = msgspec.structs.replace(asked_for(max_tokens=30, prediction=plain.tokens), top_logprobs=4)
        (outcome,) = await outcomes_of(process, request)
    assert outcome.tokens == plain.tokens
    assert plain.logprobs == []
    assert len(outcome.logprobs) == len(outcome.tokens)
    for token, told in zip(outcome.tokens, outcome.logprobs, strict=True):
        assert len(told.top) == 4
        assert told.logprob <= told.top[0][1] <= 0
        assert dict(told.top).get(token, told.logprob) == told.logprob


@pytest.fixture(scope="module")
def usual_model(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Tiny model with room for long prompts; in ``make soak`` the bundled model, which computes for seconds."""
    if SOAK:
        bundled: Path = request.getfixturevalue("bundled_model")
        return bundled
    path = tmp_path_factory.mktemp("models") / "usual.gguf"
    write_tiny_model(path, context_length=1024)
    return path


@pytest.fixture(scope="module")
async def usual(usual_model: Path) -> AsyncIterator[EngineProcess]:
    """Engine with default arithmetic, which depends on the shape of batches and on reuse."""
    process = EngineProcess(EngineConfig(str(usual_model), context=1024, parallel=8, threads=THREADS))
    await process.start()
    yield process
    await process.stop()


@pytest.fixture(scope="module")
def tokens_of_text(usual_model: Path) -> list[int]:
    """About 700 tokens of text."""
    text = (Path(__file__).parents[3] / "README.md").read_text()
    return GGUFVocabulary(usual_model).tokenize(text, control=False)[:700]


async def disturb(process: EngineProcess, text: list[int], seed: int) -> None:
    """Compute other requests, with and without common prefixes, one by one and together."""
    chance = random.Random(seed)

    async def something() -> None:
        start = chance.choice([0, 0, 50])
        end = start + chance.choice([40, 64, 128, 200])
        request = GenerateRequest(
            [*text[start:end], *chance.choice([[], [40, 41, 42]])],
            [chance.randrange(100) for _ in range(chance.choice([1, 1, 3]))],
            max_tokens=chance.choice([1, 4, 12]),
            sampling=Sampling(temperature=chance.choice([0, 0.7])),
            repeatable=chance.random() < 0.5,
        )
        await outcomes_of(process, request, cancel_after=chance.choice([0, 0, 2]))

    await something()
    await asyncio.gather(something(), something())


@pytest.mark.parametrize(
    ("length", "temperature", "choices", "repeats"),
    some([(30, 0.7, 2, False), (193, 0.0, 1, False), (65, 0.7, 1, True)], 2),
)
async def test_repeatable_request_repeats_itself_whatever_ran_in_between(
    usual: EngineProcess, tokens_of_text: list[int], length: int, temperature: float, choices: int, repeats: bool
) -> None:
    prompt = tokens_of_text[:length] * (2 if repeats else 1)
    request = GenerateRequest(
        prompt,
        list(range(choices)),
        max_tokens=12,
        sampling=Sampling(temperature=temperature),
        repeatable=True,
        top_logprobs=0,
    )
    first = await outcomes_of(usual, request)
    await disturb(usual, tokens_of_text, length)
    outcomes = await outcomes_of(usual, request)
    assert [outcome.result for outcome in outcomes] == [outcome.result for outcome in first]
    at_once = await outcomes_of(usual, request)
    assert [outcome.result for outcome in at_once] == [outcome.result for outcome in first]
    assert at_once[0].cached_tokens == (len(prompt) - 1) // BLOCK * BLOCK


@pytest.fixture(scope="module")
async def without_drafts(usual_model: Path) -> AsyncIterator[EngineProcess]:
    """Engine without drafting, as the length of drafts depends on time."""
    async with engine(usual_model, context=1024, drafting=False) as process:
        yield process


@pytest.mark.parametrize(("start", "length"), some([(300, 20), (400, 150)], 1))
async def test_greedy_request_repeated_at_once_gives_the_same_tokens(
    without_drafts: EngineProcess, tokens_of_text: list[int], start: int, length: int
) -> None:
    prompt = tokens_of_text[start : start + length]
    request = GenerateRequest(prompt, [0], max_tokens=16, sampling=Sampling(temperature=0), top_logprobs=0)
    await disturb(without_drafts, tokens_of_text, length)
    outcomes = [(await outcomes_of(without_drafts, request))[0] for _ in range(3)]
    assert outcomes[0].cached_tokens == 0
    assert [outcome.result for outcome in outcomes] == [outcomes[0].result] * 3
    assert outcomes[1].cached_tokens == (length - 1) // BLOCK * BLOCK
