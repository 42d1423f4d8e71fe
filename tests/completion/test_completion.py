"""A completion's life: made, started, ended."""

import asyncio
from pathlib import Path

from ponant.callers import ANYONE
from ponant.completion.completion import Completion
from ponant.completion.spec import CompletionSpec
from ponant.engine.base import Delta, GenerateRequest
from ponant.prompts.chat.prompt import Prompt
from tests.server.scripted import ScriptedEngine, scripted_model


def completion(engine: ScriptedEngine, weights: Path) -> Completion:
    model = scripted_model(engine, weights)
    spec = CompletionSpec(caller=ANYONE, model=None, kind="chat", build=lambda _: Prompt([1, 2]))
    return Completion(model, Prompt([1, 2]), GenerateRequest(prompt=[1, 2], seeds=[3]), spec, timeout=60)


def test_nothing_is_generated_before_the_start(tiny_model: Path) -> None:
    async def requests() -> list[int]:
        engine = ScriptedEngine([Delta(0, [5], "length")])
        made = completion(engine, tiny_model)
        counts = [len(engine.requests)]
        made.start()
        counts.append(len(engine.requests))
        await made.collect()
        return counts

    assert asyncio.run(requests()) == [0, 1]


def test_completion_that_was_never_started_can_be_cancelled(tiny_model: Path) -> None:
    engine = ScriptedEngine([])
    completion(engine, tiny_model).cancel()
    assert not engine.requests
