"""Life of a completion: creation, start and end."""

import asyncio
from pathlib import Path

from ponant.callers import ANYONE
from ponant.catalog.facts import ModelFacts
from ponant.catalog.loading.loaded import LoadedModel
from ponant.catalog.spec import ModelSpec
from ponant.completion.completion import Completion
from ponant.completion.spec import CompletionSpec
from ponant.engine.base import GenerateRequest
from ponant.llamacpp.vocabulary import open_vocabulary
from ponant.prompts.build import build_prompts
from ponant.prompts.chat.prompt import Prompt
from ponant.prompts.request import RawPromptRequest
from tests.scripted_engine import ScriptedEngine


async def completion(weights: Path) -> tuple[Completion, ScriptedEngine]:
    vocabulary = open_vocabulary(weights)
    engine = ScriptedEngine(vocabulary)
    await engine.start()
    prompts, fim = build_prompts("m", weights, vocabulary, context=512, tokenizer=None)
    model = LoadedModel(
        ModelSpec("m", "m", weights), ModelFacts("m", None, 0, 512, 0), engine, engine, vocabulary, prompts, fim
    )
    spec = CompletionSpec(caller=ANYONE, model=None, kind="chat", prompt=RawPromptRequest([1, 2]), arrived=0)
    return Completion(model, Prompt([1, 2]), GenerateRequest(prompt=[1, 2], seeds=[3]), spec, timeout=60), engine


def test_nothing_is_generated_before_the_start(tiny_model: Path) -> None:
    async def requests() -> list[int]:
        made, engine = await completion(tiny_model)
        counts = [len(engine.requests)]
        made.start()
        counts.append(len(engine.requests))
        await made.collect()
        return counts

    assert asyncio.run(requests()) == [0, 1]


def test_completion_that_was_never_started_can_be_cancelled(tiny_model: Path) -> None:
    async def requests() -> int:
        made, engine = await completion(tiny_model)
        made.cancel()
        return len(engine.requests)

    assert asyncio.run(requests()) == 0
