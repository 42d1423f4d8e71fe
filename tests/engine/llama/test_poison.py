"""Sequences whose logits are not numbers: each costs itself alone, whatever the attention kernel reads."""

import asyncio
from pathlib import Path
from typing import Any

import pytest

from ponant.engine.base import FinishReason, GenerateRequest, Sampling
from ponant.engine.llama.process import EngineProcess
from tests.engine.llama.test_process import engine, report_when
from tests.tiny_model import write_tiny_model

POISON = 200
HEALTHY = [
    GenerateRequest([3 + (seed + index * 7) % 180 for index in range(120)], [seed], max_tokens=150, min_tokens=150)
    for seed in range(7)
]
POISONED = {
    "short": [5, POISON, 7],
    "after a prefix of another": [*HEALTHY[0].prompt, POISON],
    "in the middle of a batch": [5] * 100 + [POISON] + [6] * 100,
    "long before the end": [5] * 10 + [POISON] + [6 + index % 90 for index in range(700)],
    "at the end": [5] * 700 + [POISON],
}
KERNELS: list[dict[str, Any]] = [
    {},
    {"prefix_cache": False, "drafting": False},
    {"flash_attention": True, "kv_type": "f16"},
    {"deterministic": True, "kv_memory": 16 << 20},
]


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Model of which one token poisons the KV cache."""
    path = tmp_path_factory.mktemp("models") / "poison.gguf"
    write_tiny_model(path, poison_tokens=[POISON], context_length=1024)
    return path


async def outcome(process: EngineProcess, asked: GenerateRequest) -> tuple[list[int], FinishReason | None]:
    tokens: list[int] = []
    finish = None
    async for delta in process.generate(asked):
        tokens += delta.tokens
        finish = delta.finish
    return tokens, finish


@pytest.mark.parametrize("kernel", KERNELS, ids=["plain", "unshared", "flash", "deterministic"])
async def test_poisoned_sequence_among_seven_costs_itself_alone(model: Path, kernel: dict[str, Any]) -> None:
    async with engine(model, **{"parallel": 8, "context": 1024, "kv_memory": 4 << 20} | kernel) as process:
        expected = [(await outcome(process, one))[0] for one in HEALTHY]
        computed = (await report_when(process, lambda report: not report.running)).computed_tokens
        running = [asyncio.create_task(outcome(process, one)) for one in HEALTHY]
        for prompt in POISONED.values():
            poisoned = GenerateRequest(prompt, [1], max_tokens=5, sampling=Sampling(temperature=0.7))
            assert await outcome(process, poisoned) == ([], "error")
        others = [await one for one in running]
        assert [finish for _, finish in others] == ["length"] * 7
        if not kernel.get("flash_attention"):
            assert [tokens for tokens, _ in others] == expected
        report = await report_when(process, lambda report: not report.running and report.computed_tokens > computed)
        again = report.computed_tokens - computed
        poison = sum(map(len, POISONED.values()))
        # Chunks that fail together are computed twice, but no others.
        assert again < computed + 2 * poison + 7 * 20 * len(POISONED)
        assert (await outcome(process, HEALTHY[0]))[1] == "length"
