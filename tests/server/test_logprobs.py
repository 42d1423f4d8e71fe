"""Log-probabilities in answers."""

import math
from typing import Any

import pytest

from tests.chatting import answer, ask, assert_error, events, streamed_texts, texts
from tests.serving import RunningServer


def entries(response: dict[str, Any], choice: int = 0) -> list[dict[str, Any]]:
    content: list[dict[str, Any]] = response["choices"][choice]["logprobs"]["content"]
    return content


def test_every_token_has_one_and_together_they_are_the_text(tiny_server: RunningServer) -> None:
    response = answer(tiny_server, text="What is an étude?", logprobs=True, max_tokens=40, min_tokens=40)
    known = entries(response)
    assert len(known) == response["usage"]["completion_tokens"] == 40
    assert b"".join(bytes(entry["bytes"]) for entry in known).decode() == texts(response)[0]
    assert all(entry["logprob"] <= 0 and entry["top_logprobs"] == [] for entry in known)


def test_top_logprobs_are_ordered_and_greedy_takes_the_first(tiny_server: RunningServer) -> None:
    response = answer(tiny_server, text="Name a colour.", temperature=0, logprobs=True, top_logprobs=20)
    for entry in entries(response):
        likely = [other["logprob"] for other in entry["top_logprobs"]]
        assert len(likely) == 20
        assert likely == sorted(likely, reverse=True)
        assert sum(map(math.exp, likely)) <= 1 + 1e-6
        assert (entry["token"], entry["logprob"]) == (entry["top_logprobs"][0]["token"], likely[0])


def test_they_are_the_models_own_whatever_the_sampling(tiny_server: RunningServer) -> None:
    fields: dict[str, Any] = {"logprobs": True, "top_logprobs": 3, "max_tokens": 1, "min_tokens": 1}
    plain = entries(answer(tiny_server, temperature=0, **fields))[0]["top_logprobs"]
    changed = entries(answer(tiny_server, temperature=1.5, top_k=2, presence_penalty=1, **fields))[0]["top_logprobs"]
    assert [other["token"] for other in changed] == [other["token"] for other in plain]
    assert [other["logprob"] for other in changed] == pytest.approx([other["logprob"] for other in plain], abs=1e-4)


def test_all_of_a_small_vocabulary_sums_to_one(tiny_server: RunningServer) -> None:
    (entry,) = entries(answer(tiny_server, logprobs=True, top_logprobs=20, max_tokens=1, min_tokens=1))
    assert 0 < sum(math.exp(other["logprob"]) for other in entry["top_logprobs"]) <= 1 + 1e-6


def test_streamed_ones_are_those_of_the_whole_answer(tiny_server: RunningServer) -> None:
    fields: dict[str, Any] = {"logprobs": True, "top_logprobs": 2, "random_seed": 5, "n": 2, "max_tokens": 30}
    whole = answer(tiny_server, **fields)
    chunks = events(tiny_server, stop=["no such text"], **fields)
    assert streamed_texts(chunks) == texts(whole)
    for index in range(2):
        streamed = [
            entry
            for chunk in chunks
            for choice in chunk["choices"]
            if choice["index"] == index and "logprobs" in choice
            for entry in choice["logprobs"]["content"]
        ]
        assert streamed == entries(whole, index)


def test_tokens_after_a_stop_string_have_none(tiny_server: RunningServer) -> None:
    fields: dict[str, Any] = {"random_seed": 5, "logprobs": True, "max_tokens": 40}
    response = answer(tiny_server, stop=texts(answer(tiny_server, **fields))[0][10:20], **fields)
    assert len(entries(response)) == response["usage"]["completion_tokens"] < 40


@pytest.mark.parametrize("fields", [{}, {"logprobs": False}, {"logprobs": None, "top_logprobs": 0}])
def test_there_are_none_unless_asked_for(tiny_server: RunningServer, fields: dict[str, Any]) -> None:
    assert "logprobs" not in answer(tiny_server, **fields)["choices"][0]
    assert all("logprobs" not in choice for chunk in events(tiny_server, **fields) for choice in chunk["choices"])


def test_top_logprobs_alone_are_refused(tiny_server: RunningServer) -> None:
    message = assert_error(ask(tiny_server, top_logprobs=3), 400, "invalid_request_error")
    assert "logprobs" in message


@pytest.mark.parametrize("top", [-1, 21, "2"])
def test_top_logprobs_out_of_range_are_refused(tiny_server: RunningServer, top: Any) -> None:
    assert ask(tiny_server, logprobs=True, top_logprobs=top).status_code == 422


def test_answer_without_tokens_has_an_empty_list(tiny_server: RunningServer) -> None:
    assert entries(answer(tiny_server, logprobs=True, max_tokens=0)) == []
