"""Life of a completion: creation, start and end."""

import asyncio
from pathlib import Path

from tests.completion.completions import completion


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
