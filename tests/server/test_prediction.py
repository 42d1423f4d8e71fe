"""Predicted outputs over HTTP: faster if they are right, without effect on the answer."""

from pathlib import Path
from typing import Any

import pytest

from tests.chatting import answer, ask, events, streamed_texts, texts
from tests.in_process import EXACT, serving_in_process
from tests.server.conftest import CYCLE
from tests.serving import RunningServer

STORY = [{"role": "user", "content": "Tell me a story."}]


def predicted(text: str) -> dict[str, Any]:
    return {"prediction": {"type": "content", "content": text}}


def details(response: dict[str, Any]) -> tuple[int, int]:
    counts = response["usage"]["completion_tokens_details"]
    return counts["accepted_prediction_tokens"], counts["rejected_prediction_tokens"]


@pytest.mark.parametrize("sampling", [{"temperature": 0}, {"temperature": 0.3}, {"temperature": 1.0, "n": 3}])
def test_answer_is_the_one_without_a_prediction(tiny_server: RunningServer, sampling: dict[str, Any]) -> None:
    fields = {"random_seed": 8, "max_tokens": 60, "min_tokens": 60} | sampling
    expected = texts(answer(tiny_server, **fields))
    for text in (expected[0], expected[0][:20] + "something else" + expected[0][25:], "of no use " * 20):
        assert texts(answer(tiny_server, **fields, **predicted(text))) == expected
        assert streamed_texts(events(tiny_server, **fields, **predicted(text))) == expected


def test_right_prediction_is_accepted_and_a_wrong_one_not(sure_server: RunningServer) -> None:
    # The seed makes the length of drafts independent of measured times.
    fields: dict[str, Any] = {"temperature": 0, "random_seed": 1, "max_tokens": 80, "min_tokens": 80}
    messages = [*STORY, {"role": "assistant", "content": "".join(CYCLE), "prefix": True}]
    expected = answer(sure_server, messages=messages, **fields)
    predicted_answer = answer(sure_server, messages=messages, **fields, **predicted(texts(expected)[0]))
    accepted, rejected = details(predicted_answer)
    assert accepted > 30
    assert rejected < accepted
    assert texts(predicted_answer) == texts(expected)
    accepted, rejected = details(answer(sure_server, messages=messages, **fields, **predicted("Zebras graze. " * 20)))
    assert accepted == 0
    assert rejected < 20


def test_prediction_counts_from_where_a_given_beginning_ends(sure_server: RunningServer) -> None:
    beginning = "".join(CYCLE[:3])
    fields: dict[str, Any] = {
        "messages": [*STORY, {"role": "assistant", "content": beginning, "prefix": True}],
        "temperature": 0,
        "random_seed": 1,  # makes the length of drafts independent of measured times
        "max_tokens": 30,
        "min_tokens": 30,
    }
    expected = texts(answer(sure_server, **fields))[0]
    assert expected == ("".join(CYCLE) * 10)[: len(expected)]
    accepted, _ = details(answer(sure_server, **fields, **predicted(expected)))
    assert accepted > 15


def test_usage_tells_of_predictions_only_where_there_is_one(tiny_server: RunningServer) -> None:
    assert "completion_tokens_details" not in answer(tiny_server)["usage"]
    assert details(answer(tiny_server, **predicted(""))) == (0, 0)
    assert details(answer(tiny_server, max_tokens=0, **predicted("some text"))) == (0, 0)


@pytest.mark.parametrize("settings", [{"drafting": False}, {"deterministic": True}])
def test_settings_turn_it_off(tiny_model: Path, tiny_server: RunningServer, settings: dict[str, bool]) -> None:
    fields: dict[str, Any] = {"random_seed": 8, "temperature": 0.3, "max_tokens": 60, "min_tokens": 60}
    expected = texts(answer(tiny_server, **fields))
    with serving_in_process(tiny_model, **EXACT, **settings) as server:
        response = answer(server, **fields, **predicted(expected[0]))
    assert texts(response) == expected
    assert details(response) == (0, 0)


def test_endless_prediction_changes_nothing(tiny_server: RunningServer) -> None:
    fields: dict[str, Any] = {"random_seed": 8, "max_tokens": 30, "min_tokens": 30}
    assert texts(answer(tiny_server, **fields, **predicted("la " * 1_000_000))) == texts(answer(tiny_server, **fields))


@pytest.mark.parametrize("wrong", [{"type": "tool"}, {"content": 3}, {"content": "a", "more": 1}, "a"])
def test_malformed_predictions_are_refused(tiny_server: RunningServer, wrong: Any) -> None:
    assert ask(tiny_server, prediction=wrong).status_code == 422
