"""Engine with a real worker process and a real tiny model."""

import asyncio
import os
import signal
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from ponant.engine.base import FinishReason, GenerateRequest, Sampling
from ponant.engine.llama.config import EngineConfig
from ponant.engine.llama.process import EngineProcess
from ponant.engine.report import StepReport
from ponant.errors import (
    EngineRestartedError,
    EngineUnavailableError,
    ModelLoadError,
    QueueFullError,
    RequestRefusedError,
)
from ponant.processes.core_lock import CoreSlot, make_lock_file
from ponant.processes.heartbeat import USUAL_PATIENCE, Patience
from tests.serving import THREADS

PROMPT = [10, 20, 30, 40, 50]


@asynccontextmanager
async def engine(model: Path, *, queue_limit: int = 256, **options: Any) -> AsyncIterator[EngineProcess]:
    patience: Patience = options.pop("patience", USUAL_PATIENCE)
    config = {"parallel": 8, "threads": THREADS, "flash_attention": False, "kv_type": "f32"} | options
    settings = EngineConfig(str(model), **config)  # type: ignore[arg-type]
    process = EngineProcess(settings, queue_limit=queue_limit, patience=patience)
    await process.start()
    try:
        yield process
    finally:
        await process.stop()


def request(seed: int = 0, *, prompt: list[int] = PROMPT, max_tokens: int = 40, choices: int = 1) -> GenerateRequest:
    seeds = [seed + choice for choice in range(choices)]
    return GenerateRequest(prompt, seeds, max_tokens=max_tokens, sampling=Sampling(temperature=0.9))


async def tokens_of(process: EngineProcess, asked: GenerateRequest) -> dict[int, list[int]]:
    tokens: dict[int, list[int]] = {choice: [] for choice in range(len(asked.seeds))}
    async for delta in process.generate(asked):
        tokens[delta.choice] += delta.tokens
    return tokens


async def test_same_request_gives_same_tokens_alone_and_among_others(tiny_model: Path) -> None:
    async with engine(tiny_model) as process:
        alone = [await tokens_of(process, request(seed, prompt=PROMPT[: 1 + seed % 5])) for seed in range(12)]
        together = await asyncio.gather(
            *(tokens_of(process, request(seed, prompt=PROMPT[: 1 + seed % 5])) for seed in range(12))
        )
    assert together == alone


async def test_sequences_preempted_for_lack_of_memory_resume_where_they_stopped(tiny_model: Path) -> None:
    async with engine(tiny_model) as roomy:
        expected = [await tokens_of(roomy, request(seed, max_tokens=100)) for seed in range(8)]
    bytes_per_token = roomy.info.kv_memory // roomy.info.kv_cells
    async with engine(tiny_model, context=256, kv_memory=256 * bytes_per_token) as tight:
        assert tight.info.kv_cells == 256
        assert await asyncio.gather(*(tokens_of(tight, request(seed, max_tokens=100)) for seed in range(8))) == expected


async def test_choices_of_one_request_equal_separate_requests(tiny_model: Path) -> None:
    async with engine(tiny_model, parallel=3) as process:
        choices = await tokens_of(process, request(5, choices=6))
        separate = [await tokens_of(process, request(5 + choice)) for choice in range(6)]
    assert [choices[choice] for choice in range(6)] == [tokens[0] for tokens in separate]


async def test_deterministic_engine_does_not_depend_on_load(tiny_model: Path) -> None:
    long_prompt = [3 + index % 250 for index in range(300)]
    async with engine(tiny_model, deterministic=True, flash_attention=True, kv_type="f16") as process:
        alone = [await tokens_of(process, request(seed, prompt=long_prompt[seed:])) for seed in range(4)]
        together = await asyncio.gather(
            *(tokens_of(process, request(seed, prompt=long_prompt[seed:])) for seed in range(4))
        )
    assert together == alone


async def another_worker(process: EngineProcess, *, than: int | None = None) -> int:
    """Wait until there is a ready worker other than a dead one; return its process id."""
    async with asyncio.timeout(30):
        while process.state != "ready" or process.process_id == than or not process.process_id:
            await asyncio.sleep(0.01)
    return process.process_id


async def whole_tokens_of(
    process: EngineProcess, asked: GenerateRequest, begun: asyncio.Event | None = None
) -> dict[int, list[int]]:
    """Return the tokens of a request's last run; ``begun`` is set by the first ones of each run."""
    generation = process.generate(asked)
    tokens: dict[int, list[int]] = {}
    while True:
        try:
            async for delta in generation:
                tokens.setdefault(delta.choice, []).extend(delta.tokens)
                if begun:
                    begun.set()
        except EngineRestartedError:
            tokens = {}
        else:
            return tokens


async def test_killed_worker_is_replaced_and_its_requests_begin_again(tiny_model: Path) -> None:
    asked = [request(seed, max_tokens=200, choices=1 + seed % 2) for seed in range(4)]
    async with engine(tiny_model, parallel=3) as process:
        expected = [await tokens_of(process, one) for one in asked]
        begun = asyncio.Event()
        running = [asyncio.create_task(whole_tokens_of(process, one, begun)) for one in asked]
        await begun.wait()
        worker = await another_worker(process)
        os.kill(worker, signal.SIGKILL)
        while process.state == "ready":
            await asyncio.sleep(0.01)
        late = asyncio.create_task(tokens_of(process, asked[0]))
        async with asyncio.timeout(30):
            assert await asyncio.gather(*running) == expected
            assert await late == expected[0]
        assert process.process_id != worker
        assert process.last_error


async def test_request_under_which_two_workers_died_is_refused(tiny_model: Path) -> None:
    async with engine(tiny_model) as process:
        begun = asyncio.Event()
        running = asyncio.create_task(whole_tokens_of(process, request(max_tokens=400), begun))
        worker = None
        for _ in range(2):
            await begun.wait()
            begun.clear()
            worker = await another_worker(process, than=worker)
            os.kill(worker, signal.SIGKILL)
        with pytest.raises(RequestRefusedError):
            await running
        assert len((await tokens_of(process, request(max_tokens=3)))[0]) == 3


@pytest.mark.parametrize("busy", [False, True])
async def test_hung_worker_is_replaced_and_its_requests_begin_again(tiny_model: Path, *, busy: bool) -> None:
    async with engine(tiny_model, patience=Patience(0.5)) as process:
        worker = await another_worker(process)
        os.kill(worker, signal.SIGSTOP)
        if busy:
            assert len((await whole_tokens_of(process, request()))[0]) == 40
        assert await another_worker(process, than=worker)
        assert "did nothing for 0.5 s" in str(process.last_error)
        with pytest.raises(ProcessLookupError):
            os.kill(worker, 0)


async def test_hung_worker_loses_its_turn_on_the_cores(tiny_model: Path, tmp_path: Path) -> None:
    make_lock_file(tmp_path / "cores")
    slots = [CoreSlot(str(tmp_path / "cores"), number) for number in range(2)]
    patience = Patience(0.5)
    async with (
        engine(tiny_model, patience=patience, core_slot=slots[0]) as first,
        engine(tiny_model, patience=patience, core_slot=slots[1]) as second,
    ):
        begun = asyncio.Event()
        holding = asyncio.create_task(whole_tokens_of(first, request(max_tokens=400), begun))
        await begun.wait()
        worker, other = await another_worker(first), await another_worker(second)
        os.kill(worker, signal.SIGSTOP)
        assert len((await tokens_of(second, request()))[0]) == 40
        assert len((await holding)[0]) == 400
        assert first.process_id != worker
        assert second.process_id == other, "it waited for its turn, and was taken for hung"


@pytest.mark.usefixtures("stopped_children")
async def test_worker_that_hangs_while_it_loads_is_given_up(tiny_model: Path) -> None:
    with pytest.raises(ModelLoadError, match=r"did nothing for 0\.5 s while it loaded"):
        async with engine(tiny_model, patience=Patience(loading=0.5)):
            pass


async def test_stopped_choice_sends_no_more_and_the_others_go_on(tiny_model: Path) -> None:
    async with engine(tiny_model) as process:
        generation = process.generate(request(choices=2, max_tokens=50))
        counts = {0: 0, 1: 0}
        async for delta in generation:
            counts[delta.choice] += len(delta.tokens)
            if delta.choice == 0:
                generation.stop(0)
    assert counts == {0: 1, 1: 50}


async def test_stopped_choice_sends_no_more_although_it_has_come_to_its_end_unread(tiny_model: Path) -> None:
    async with engine(tiny_model) as process:
        generation = process.generate(request(choices=2, max_tokens=5))
        first = await anext(generation)
        while process.busy:
            await asyncio.sleep(0.01)
        generation.stop(first.choice)
        rest = [delta async for delta in generation]
    assert {delta.choice for delta in rest} == {1 - first.choice}
    assert sum(len(delta.tokens) for delta in rest) == 5


async def test_cancelled_requests_leave_their_places(tiny_model: Path) -> None:
    async with engine(tiny_model, parallel=1, queue_limit=1) as process:
        running = process.generate(request(max_tokens=400))
        await anext(running)
        waiting = process.generate(request(max_tokens=400))
        with pytest.raises(QueueFullError):
            process.generate(request())
        waiting.cancel()
        running.cancel()
        assert len((await tokens_of(process, request(max_tokens=5)))[0]) == 5


async def test_end_of_context_is_told_apart_from_max_tokens(tiny_model: Path) -> None:
    async def finish(max_tokens: int | None) -> FinishReason | None:
        asked = GenerateRequest(PROMPT, [1], max_tokens=max_tokens, min_tokens=1000, sampling=Sampling())
        reasons = [delta.finish async for delta in process.generate(asked)]
        return reasons[-1]

    async with engine(tiny_model, context=128) as process:
        assert await finish(20) == "length"
        assert await finish(None) == "model_length"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"context": 100_000}, "longer than the model's own"),
        ({"kv_memory": 1000}, "of KV memory hold"),
        ({"kv_memory": 1 << 50}, "too little memory"),
    ],
)
async def test_what_cannot_be_had_is_refused_with_the_reason(
    tiny_model: Path, options: dict[str, int], message: str
) -> None:
    with pytest.raises(ModelLoadError, match=message):
        async with engine(tiny_model, **options):
            pass


async def test_truncated_file_is_refused(tiny_model: Path, tmp_path: Path) -> None:
    broken = tmp_path / "broken.gguf"
    broken.write_bytes(tiny_model.read_bytes()[:20_000])
    with pytest.raises(ModelLoadError, match="cannot load"):
        async with engine(broken):
            pass


LONG_PROMPT = [3 + index * 7 % 250 for index in range(200)]


async def cached_tokens(process: EngineProcess, asked: GenerateRequest) -> list[int]:
    return [delta.cached_tokens async for delta in process.generate(asked)]


async def test_prompt_that_begins_like_a_finished_one_is_not_computed_again(tiny_model: Path) -> None:
    async with engine(tiny_model) as process:
        (first,) = (await tokens_of(process, request(prompt=LONG_PROMPT))).values()
        next_turn = request(prompt=[*LONG_PROMPT, *first, 5, 6, 7], max_tokens=5)
        answer = await tokens_of(process, next_turn)
        # The last drawn token is not computed.
        assert await cached_tokens(process, next_turn) == [len(next_turn.prompt) - 1] * 5
    async with engine(tiny_model, prefix_cache=False) as plain:
        assert await tokens_of(plain, next_turn) == answer
        assert await cached_tokens(plain, next_turn) == [0] * 5


@pytest.mark.parametrize(("memory", "kept"), [(None, True), (0, False), (1 << 40, True)])
async def test_what_has_left_the_cache_for_others_comes_back(
    tiny_model: Path, memory: int | None, *, kept: bool
) -> None:
    others = [request(seed, prompt=LONG_PROMPT[seed:]) for seed in range(1, 4)]
    async with engine(tiny_model, prefix_memory=memory) as process:
        (first,) = (await tokens_of(process, request(prompt=LONG_PROMPT))).values()
        next_turn = request(prompt=[*LONG_PROMPT, *first, 5, 6, 7], max_tokens=5)
        for other in others:
            await tokens_of(process, other)
        assert await cached_tokens(process, next_turn) == [len(next_turn.prompt) - 4 if kept else 0] * 5
        answer = await tokens_of(process, next_turn)
    async with engine(tiny_model, prefix_cache=False) as plain:
        assert await tokens_of(plain, next_turn) == answer


async def test_prompts_that_begin_alike_are_computed_once_while_running(tiny_model: Path) -> None:
    asked = [request(seed, prompt=[*LONG_PROMPT, seed], max_tokens=4) for seed in range(8)]
    async with engine(tiny_model) as process:
        together = await asyncio.gather(*(cached_tokens(process, one) for one in asked))
    assert together[0] == [0] * 4
    assert together[1:] == [[len(LONG_PROMPT)] * 4] * 7


async def test_request_goes_on_when_the_one_it_waits_for_is_cancelled(tiny_model: Path) -> None:
    async with engine(tiny_model) as process:
        expected = await tokens_of(process, request(1, prompt=LONG_PROMPT))
    async with engine(tiny_model) as process:
        leader = process.generate(request(0, prompt=LONG_PROMPT))
        follower = asyncio.create_task(tokens_of(process, request(1, prompt=LONG_PROMPT)))
        await asyncio.sleep(0)
        leader.cancel()
        assert await follower == expected


async def test_what_is_kept_gives_way_to_what_runs(tiny_model: Path) -> None:
    async with engine(tiny_model) as roomy:
        asked = [request(seed, prompt=LONG_PROMPT[seed:], max_tokens=50) for seed in range(20)]
        expected = [await tokens_of(roomy, one) for one in asked]
    bytes_per_token = roomy.info.kv_memory // roomy.info.kv_cells
    async with engine(tiny_model, context=256, kv_memory=512 * bytes_per_token) as tight:
        assert [await tokens_of(tight, one) for one in asked] == expected
        assert await asyncio.gather(*(tokens_of(tight, one) for one in asked)) == expected


async def report_when(process: EngineProcess, is_there: Callable[[StepReport], bool]) -> StepReport:
    async with asyncio.timeout(30):
        while not is_there(process.report):
            await asyncio.sleep(0.01)
    return process.report


async def test_report_has_what_was_computed_and_what_is_kept(tiny_model: Path) -> None:
    async with engine(tiny_model) as process:
        assert process.report == StepReport()
        (first,) = (await tokens_of(process, request(prompt=LONG_PROMPT))).values()
        report = await report_when(process, lambda report: report.drawn_tokens == 40 and not report.running)
        assert report.steps >= 40
        assert report.step_seconds > 0
        assert report == StepReport(
            cells_kept=239, steps=report.steps, step_seconds=report.step_seconds, computed_tokens=239, drawn_tokens=40
        )
        await tokens_of(process, request(prompt=[*LONG_PROMPT, *first, 5], max_tokens=1))
        report = await report_when(process, lambda report: report.drawn_tokens == 41 and not report.running)
        assert (report.cached_tokens, report.computed_tokens, report.cells_kept) == (239, 239 + 2, 241)


async def test_report_has_what_runs_and_waits_and_begins_anew_with_a_new_worker(tiny_model: Path) -> None:
    async with engine(tiny_model, parallel=2) as process:
        generations = [process.generate(request(seed, max_tokens=400)) for seed in range(60)]  # longer than a second
        report = await report_when(process, lambda report: report.running == 2 and report.waiting > 0)
        assert report.waiting <= len(generations) - 2
        assert report.cells_used >= len(PROMPT)
        assert process.process_id
        os.kill(process.process_id, signal.SIGKILL)
        await report_when(process, lambda report: report == StepReport())
        for generation in generations[-3:]:
            with pytest.raises(EngineUnavailableError):
                async for _ in generation:
                    pass


async def test_quantized_kv_caches_are_smaller(bundled_model: Path) -> None:
    sizes = []
    for kv_type in ("f16", "q8_0", "q4_0"):
        async with engine(bundled_model, flash_attention=True, kv_type=kv_type, context=256, parallel=2) as process:
            sizes.append(process.info.kv_memory / process.info.kv_cells)
            tokens = await tokens_of(process, request(max_tokens=4))
            assert len(tokens[0]) == 4
    assert [size / sizes[0] for size in sizes] == pytest.approx([1, 34 / 64, 18 / 64], rel=0.01)


async def test_quantized_kv_cache_is_refused_for_narrow_heads(tiny_model: Path) -> None:
    process = EngineProcess(EngineConfig(str(tiny_model), kv_type="q8_0", threads=THREADS))
    with pytest.raises(ModelLoadError, match="does not divide n_embd_head_k"):
        await process.start()
    await process.stop()
