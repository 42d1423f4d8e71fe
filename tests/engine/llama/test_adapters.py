"""Adapters in a running engine: real worker process, real tiny model, exact arithmetic."""

import asyncio
import contextlib
import os
import signal
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec import structs

from ponant.engine.base import GenerateRequest
from ponant.engine.llama.process import EngineProcess
from ponant.errors import AdapterError, EngineUnavailableError
from ponant.llamacpp.adapter_file import check_adapter_file
from tests.engine.llama.test_process import LONG_PROMPT, PROMPT, cached_tokens, engine, request, tokens_of
from tests.soak import examples
from tests.tiny_adapter import adapter_matrices, write_tiny_adapter
from tests.tiny_model import write_tiny_model


@pytest.fixture(scope="module")
def adapter_files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Three adapters by their ids."""
    folder = tmp_path_factory.mktemp("adapters")
    return {name: write_tiny_adapter(folder / f"{name}.gguf", seed=seed) for seed, name in enumerate(("a", "b", "c"))}


@pytest.fixture(scope="module")
async def any_engine(tiny_model: Path) -> AsyncIterator[EngineProcess]:
    """Engine shared by tests, which must leave it unchanged."""
    async with engine(tiny_model) as process:
        yield process


def under(adapter: str | None, asked: GenerateRequest) -> GenerateRequest:
    return structs.replace(asked, adapter=adapter)


async def add_all(process: EngineProcess, files: dict[str, Path]) -> None:
    for name, path in files.items():
        await process.add_adapter(name, path)


async def until_ready(process: EngineProcess) -> None:
    async with asyncio.timeout(30):
        while process.state != "ready":
            await asyncio.sleep(0.01)


@pytest.mark.parametrize("deterministic", [False, True])
async def test_requests_over_several_adapters_get_side_by_side_what_each_gets_alone(
    tiny_model: Path, adapter_files: dict[str, Path], deterministic: bool
) -> None:
    adapters = [None, *adapter_files]
    asked = [
        under(adapters[number % 4], request(number, prompt=LONG_PROMPT[: 60 + number % 5], max_tokens=20))
        for number in range(16)
    ]
    alone: dict[str | None, list[dict[int, list[int]]]] = {}
    for adapter in adapters:
        async with engine(tiny_model) as process:
            if adapter:
                await process.add_adapter(adapter, adapter_files[adapter])
            alone[adapter] = [await tokens_of(process, one) for one in asked if one.adapter == adapter]
    async with engine(tiny_model, deterministic=deterministic) as process:
        await add_all(process, adapter_files)
        together = await asyncio.gather(*(tokens_of(process, one) for one in asked))
    assert {adapter: together[index::4] for index, adapter in enumerate(adapters)} == alone
    assert len({str(answers[0]) for answers in alone.values()}) == 4
    assert all(len(answer[0]) == 20 for answers in alone.values() for answer in answers)


async def test_prompts_are_shared_among_those_with_the_same_adapter_alone(
    tiny_model: Path, adapter_files: dict[str, Path]
) -> None:
    async with engine(tiny_model, prefix_cache=False) as plain:
        await plain.add_adapter("a", adapter_files["a"])
        expected = [await tokens_of(plain, under(adapter, request(prompt=LONG_PROMPT))) for adapter in (None, "a")]
    async with engine(tiny_model) as process:
        await process.add_adapter("a", adapter_files["a"])
        for index, taken in enumerate([0, 0, 199, 199, 199, 199]):
            asked = under([None, "a"][index % 2], request(prompt=LONG_PROMPT))
            assert (await cached_tokens(process, asked))[-1] == taken
            assert await tokens_of(process, asked) == expected[index % 2]
        both = await asyncio.gather(
            *(
                cached_tokens(process, under(adapter, request(prompt=LONG_PROMPT[50:])))
                for adapter in (None, "a", None, "a")
            )
        )
    assert sorted(counts[-1] for counts in both) == [0, 0, 149, 149]


async def test_adapters_come_and_go_while_streams_run(endless_model: Path, adapter_files: dict[str, Path]) -> None:
    long = request(prompt=PROMPT, max_tokens=150)
    async with engine(endless_model, context=1024) as process:
        base_alone = await tokens_of(process, long)
        await process.add_adapter("a", adapter_files["a"])
        a_alone = await tokens_of(process, under("a", long))
    async with engine(endless_model, context=1024) as process:
        base = asyncio.create_task(tokens_of(process, long))
        while not process.busy:
            await asyncio.sleep(0)
        await process.add_adapter("a", adapter_files["a"])
        stream = process.generate(under("a", long))
        first = await anext(stream)
        assert process.adapters == {"a": 1}
        removing = asyncio.create_task(process.remove_adapter("a"))
        await asyncio.sleep(0)
        assert process.adapters == {}
        with pytest.raises(EngineUnavailableError, match="the adapter a is not loaded"):
            process.generate(under("a", request()))
        with pytest.raises(AdapterError, match="still being unloaded"):
            await process.add_adapter("a", adapter_files["a"])
        assert not removing.done()
        rest = [token async for delta in stream for token in delta.tokens]
        await removing
        assert {0: [*first.tokens, *rest]} == a_alone
        assert await base == base_alone
        # The id may stand for other weights now, so cached tokens of the old adapter must not be reused.
        await process.add_adapter("a", adapter_files["b"])
        assert (await cached_tokens(process, under("a", request(prompt=LONG_PROMPT))))[-1] == 0
        await process.remove_adapter("a")
        await process.add_adapter("a", adapter_files["c"])
        assert (await cached_tokens(process, under("a", request(prompt=LONG_PROMPT))))[-1] == 0
        await process.remove_adapter("never there")


async def test_adapter_is_unloaded_when_its_last_request_is_cancelled(
    tiny_model: Path, adapter_files: dict[str, Path]
) -> None:
    async with engine(tiny_model) as process:
        await process.add_adapter("a", adapter_files["a"])
        stream = process.generate(under("a", request(max_tokens=400)))
        await anext(stream)
        removing = asyncio.gather(process.remove_adapter("a"), process.remove_adapter("a"))
        await asyncio.sleep(0)
        stream.cancel()
        await removing
        assert len((await tokens_of(process, request(max_tokens=3)))[0]) == 3


async def test_new_worker_has_the_adapters_of_the_one_that_died(
    tiny_model: Path, adapter_files: dict[str, Path]
) -> None:
    async with engine(tiny_model) as process:
        await add_all(process, adapter_files)
        asked = [under(adapter, request()) for adapter in (None, "a", "b")]
        before = [await tokens_of(process, one) for one in asked]
        running = process.generate(under("a", request(max_tokens=400)))
        leaving = process.generate(under("c", request(max_tokens=400)))
        await anext(running)
        removing = asyncio.create_task(process.remove_adapter("c"))
        await asyncio.sleep(0)
        assert process.process_id
        os.kill(process.process_id, signal.SIGKILL)
        for stream in (running, leaving):
            with pytest.raises(EngineUnavailableError):
                async for _ in stream:
                    pass
        await removing
        await until_ready(process)
        assert [await tokens_of(process, one) for one in asked] == before
        assert process.adapters == {"a": 0, "b": 0}


async def test_adapter_whose_file_is_gone_after_a_restart_is_missed_by_its_own_requests_alone(
    tiny_model: Path, tmp_path: Path
) -> None:
    async with engine(tiny_model) as process:
        path = write_tiny_adapter(tmp_path / "a.gguf")
        await process.add_adapter("a", path)
        path.unlink()
        assert process.process_id
        os.kill(process.process_id, signal.SIGKILL)
        async with asyncio.timeout(30):
            while process.adapters:
                await asyncio.sleep(0.01)
        assert len((await tokens_of(process, request(max_tokens=3)))[0]) == 3
        with pytest.raises(EngineUnavailableError):
            process.generate(under("a", request()))


def _not_a_number(path: Path) -> None:
    matrices = adapter_matrices(1)
    matrices["blk.1.attn_v"][1][0, 0] = np.nan
    write_tiny_adapter(path, matrices=matrices)


def _cut_off(path: Path) -> None:
    write_tiny_adapter(path)
    os.truncate(path, path.stat().st_size - 100)


def _wrong_shape(path: Path) -> None:
    a, b = adapter_matrices(1)["blk.0.attn_q"]
    write_tiny_adapter(path, matrices={"blk.0.attn_q": (a[:, :-1], b)})


def _ranks_that_differ(path: Path) -> None:
    a, b = adapter_matrices(1)["blk.0.attn_q"]
    write_tiny_adapter(path, matrices={"blk.0.attn_q": (a[:-1], b)})


def _stacked(path: Path) -> None:
    a, b = adapter_matrices(1)["blk.0.attn_q"]
    write_tiny_adapter(path, matrices={"blk.0.attn_q": (np.stack([a, a]), np.stack([b, b]))})


def _one_half(path: Path) -> None:
    a, _ = adapter_matrices(1)["blk.0.attn_q"]
    write_tiny_adapter(path, matrices={}, more={"blk.0.attn_q.weight.lora_a": a})


@pytest.mark.parametrize(
    ("write", "message"),
    [
        (lambda path: None, "there is no file"),
        (lambda path: path.mkdir(), "cannot read"),
        (lambda path: path.write_bytes(b""), "not a usable LoRA adapter"),
        (lambda path: path.write_bytes(b"GGUF" + bytes(200)), "not a GGUF file of a known version"),
        (lambda path: path.write_bytes(b"GGUF\3\0\0\0" + b"\xff" * 500), "not a usable LoRA adapter"),
        (write_tiny_model, "its metadata is not that of an adapter"),
        (lambda path: write_tiny_adapter(path, kind="model"), "its metadata is not that of an adapter"),
        (lambda path: write_tiny_adapter(path, architecture="qwen2"), "it is for the architecture qwen2"),
        (lambda path: write_tiny_adapter(path, alpha="16"), "adapter.lora.alpha has the wrong type"),
        (lambda path: write_tiny_adapter(path, alpha=float("nan")), "adapter.lora.alpha is not a number"),
        (lambda path: write_tiny_adapter(path, matrices={}), "it has no tensors"),
        (_not_a_number, "blk.1.attn_v.weight.lora_b has values that are not finite"),
        (_cut_off, "the file is truncated"),
        (_stacked, "blk.0.attn_q.weight.lora_a is not a matrix"),
        (lambda path: write_tiny_adapter(path, more={"blk.0.x": np.ones(4, np.float32)}), "not a tensor of an adapter"),
        (
            lambda path: write_tiny_adapter(path, more={"blk.0.y.lora_a": np.ones((4, 4), np.int32)}),
            "the type of blk.0.y.lora_a is not F32, F16 or BF16",
        ),
        (_one_half, "missing one component"),
        (_wrong_shape, "incorrect shape"),
        (_ranks_that_differ, "not transposed"),
        (lambda path: write_tiny_adapter(path, matrices={"blk.7.attn_q": adapter_matrices(1)["blk.0.attn_q"]}), "does"),
    ],
)
async def test_bad_file_is_refused_and_the_engine_goes_on(
    any_engine: EngineProcess, tmp_path: Path, write: Callable[[Path], object], message: str
) -> None:
    path = tmp_path / "bad.gguf"
    write(path)
    worker = any_engine.process_id
    with pytest.raises(AdapterError, match=message):
        await any_engine.add_adapter("bad", path)
    assert any_engine.adapters == {}
    assert len((await tokens_of(any_engine, request(max_tokens=3)))[0]) == 3
    assert any_engine.process_id == worker


@given(data=st.data())
@settings(max_examples=examples(150), deadline=None)
def test_no_file_gets_past_the_check_by_another_error(
    data: st.DataObject, tmp_path_factory: pytest.TempPathFactory
) -> None:
    path = tmp_path_factory.getbasetemp() / "hostile.gguf"
    write_tiny_adapter(path, matrices={"blk.0.attn_q": adapter_matrices(1)["blk.0.attn_q"]})
    content = bytearray(path.read_bytes())
    for _ in range(data.draw(st.integers(1, 3))):
        place = data.draw(st.integers(0, 420))
        new = data.draw(st.binary(min_size=1, max_size=9))
        content[place : place + len(new)] = new
    path.write_bytes(content)
    with contextlib.suppress(AdapterError):
        check_adapter_file(path, "llama")


async def test_no_more_adapters_than_allowed_and_none_twice(tiny_model: Path, adapter_files: dict[str, Path]) -> None:
    async with engine(tiny_model, adapters=2) as process:
        await process.add_adapter("a", adapter_files["a"])
        with pytest.raises(AdapterError, match="the adapter a is already loaded"):
            await process.add_adapter("a", adapter_files["a"])
        await process.add_adapter("b", adapter_files["b"])
        with pytest.raises(AdapterError, match="cannot load more than 2 adapters at once"):
            await process.add_adapter("c", adapter_files["c"])
        await process.remove_adapter("a")
        await process.add_adapter("c", adapter_files["c"])
        assert process.adapters == {"b": 0, "c": 0}
