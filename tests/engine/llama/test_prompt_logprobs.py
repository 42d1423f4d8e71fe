"""Log-probabilities of prompts, and biases of tokens, with real workers."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import msgspec
import pytest

from ponant.engine.base import GenerateRequest, Sampling, TokenLogprobs
from ponant.engine.llama.process import EngineProcess
from ponant.llamacpp.vocabulary import open_vocabulary
from tests.engine.llama.test_process import engine
from tests.engine.llama.test_results import Outcome, outcomes_of

PROMPT = [3 + (index * 7 + index // 50) % 250 for index in range(150)]
GREEDY = Sampling(temperature=0)


def asked(prompt: list[int], **fields: object) -> GenerateRequest:
    request = GenerateRequest(prompt, [0], max_tokens=1, sampling=GREEDY)
    return msgspec.structs.replace(request, **fields)


@pytest.fixture(scope="module")
async def process(tiny_model: Path) -> AsyncIterator[EngineProcess]:
    async with engine(tiny_model) as process:
        yield process


async def one(process: EngineProcess, request: GenerateRequest) -> Outcome:
    return (await outcomes_of(process, request))[0]


async def forced(process: EngineProcess, prompt: list[int], token: int) -> TokenLogprobs:
    """Return the log-probabilities of a token after a prompt, drawn because of its bias."""
    biased = Sampling(temperature=0, logit_bias={token: 100})
    outcome = await one(process, asked(prompt, sampling=biased, top_logprobs=3))
    assert outcome.tokens == [token]
    return outcome.logprobs[0]


async def test_tokens_of_prompt_have_the_log_probabilities_of_generated_ones(process: EngineProcess) -> None:
    told = (await one(process, asked(PROMPT, prompt_logprobs=3))).prompt_logprobs
    assert len(told) == len(PROMPT) - 1
    for index in (0, 1, 62, 63, 64, 127, 148):
        expected = await forced(process, PROMPT[: index + 1], PROMPT[index + 1])
        assert told[index].logprob == pytest.approx(expected.logprob, abs=1e-4)
        assert [token for token, _ in told[index].top] == [token for token, _ in expected.top]


async def test_prompt_that_is_cached_is_computed_again_and_cached_for_others(process: EngineProcess) -> None:
    first = await one(process, asked(PROMPT, prompt_logprobs=0))
    again = await one(process, asked(PROMPT, prompt_logprobs=0))
    without = await one(process, asked([*PROMPT, 9]))
    assert first.prompt_logprobs == again.prompt_logprobs
    assert (first.cached_tokens, again.cached_tokens) == (0, 0)
    assert without.cached_tokens == len(PROMPT)
    assert without.prompt_logprobs == []


@pytest.mark.parametrize("length", [1, 2, 64, 65])
async def test_prompt_without_completion_is_scored(process: EngineProcess, length: int) -> None:
    outcome = await one(process, asked(PROMPT[:length], prompt_logprobs=1, max_tokens=0))
    assert (outcome.tokens, outcome.finish, len(outcome.prompt_logprobs)) == ([], "length", length - 1)


async def test_completions_advance_while_a_prompt_is_scored(process: EngineProcess) -> None:
    running = asked(PROMPT[:5], max_tokens=60, min_tokens=60)
    alone, expected = await one(process, running), await one(process, asked(PROMPT, prompt_logprobs=0))
    requests = [*[running] * 4, asked(PROMPT, prompt_logprobs=0), asked(PROMPT[:100], prompt_logprobs=0)]
    *others, scored, shorter = await asyncio.gather(*(one(process, request) for request in requests))
    assert [other.tokens for other in others] == [alone.tokens] * 4
    told = [token.logprob for token in expected.prompt_logprobs]
    assert [token.logprob for token in scored.prompt_logprobs] == pytest.approx(told, abs=1e-4)
    assert [token.logprob for token in shorter.prompt_logprobs] == pytest.approx(told[:99], abs=1e-4)


async def test_bias_bans_tokens_and_lets_others_be_drawn_only(process: EngineProcess) -> None:
    usual = await one(process, asked(PROMPT, max_tokens=30, min_tokens=30))
    banned = Sampling(temperature=0, logit_bias=dict.fromkeys(usual.tokens, -100.0))
    others = await one(process, asked(PROMPT, max_tokens=30, min_tokens=30, sampling=banned))
    assert not set(usual.tokens) & set(others.tokens)
    only = Sampling(temperature=1.5, logit_bias={80: 100, 81: 100})
    drawn = await one(process, asked(PROMPT, max_tokens=30, min_tokens=30, sampling=only))
    assert set(drawn.tokens) == {80, 81}


async def test_bias_on_an_end_token_ends_the_completion(process: EngineProcess, tiny_model: Path) -> None:
    end = next(iter(open_vocabulary(tiny_model).end_tokens))
    outcome = await one(process, asked(PROMPT, max_tokens=30, sampling=Sampling(logit_bias={end: 100})))
    assert (outcome.tokens, outcome.finish) == ([], "stop")


@pytest.mark.parametrize("right", [True, False])
async def test_prediction_is_verified_with_the_bias(process: EngineProcess, right: bool) -> None:
    usual = await one(process, asked(PROMPT[:20], max_tokens=60, min_tokens=60))
    biased = asked(
        PROMPT[:20],
        max_tokens=60,
        min_tokens=60,
        sampling=Sampling(temperature=0.9, logit_bias={usual.tokens[5]: -100, 90: 4}),
        repeatable=True,
    )
    expected = await one(process, biased)
    prediction = expected.tokens if right else usual.tokens
    outcome = await one(process, msgspec.structs.replace(biased, prediction=prediction))
    assert outcome.tokens == expected.tokens
    assert outcome.accepted > 20 or not right
