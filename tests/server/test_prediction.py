"""Predicted answers over HTTP: faster where they are right, and never another answer."""

from pathlib import Path
from typing import Any

import pytest

from tests.chatting import answer, ask, events, streamed_texts, texts
from tests.serving import EXACT, RunningServer, serving


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


def test_right_prediction_is_accepted_and_a_wrong_one_not(bundled_server: RunningServer) -> None:
    beginning = "1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12,"  # what follows is so sure that no rounding changes it
    fields: dict[str, Any] = {
        "messages": [
            {"role": "user", "content": "Count to one hundred."},
            {"role": "assistant", "content": beginning, "prefix": True},
        ],
        "temperature": 0,
        "max_tokens": 80,
        "min_tokens": 80,
    }
    expected = answer(bundled_server, **fields)
    accepted, rejected = details(answer(bundled_server, **fields, **predicted(texts(expected)[0])))
    assert accepted > 30
    assert rejected < accepted
    fields = {"text": "What is a house?", "temperature": 0, "max_tokens": 40, "min_tokens": 40}
    accepted, rejected = details(answer(bundled_server, **fields, **predicted("Zebras graze quietly. " * 20)))
    assert accepted == 0
    assert rejected < 20


def test_prediction_counts_from_where_a_given_beginning_ends(bundled_server: RunningServer) -> None:
    beginning = "The days of the week are Monday, Tuesday,"
    fields: dict[str, Any] = {
        "messages": [
            {"role": "user", "content": "Name the days of the week twice."},
            {"role": "assistant", "content": beginning, "prefix": True},
        ],
        "temperature": 0,
        "random_seed": 1,  # so that how much is drafted does not depend on measured times
        "max_tokens": 30,
        "min_tokens": 30,
    }
    expected = texts(answer(bundled_server, **fields))[0]
    assert expected.startswith(beginning)
    accepted, _ = details(answer(bundled_server, **fields, **predicted(expected)))
    assert accepted > 15


def test_usage_tells_of_predictions_only_where_there_is_one(tiny_server: RunningServer) -> None:
    assert "completion_tokens_details" not in answer(tiny_server)["usage"]
    assert details(answer(tiny_server, **predicted(""))) == (0, 0)
    assert details(answer(tiny_server, max_tokens=0, **predicted("some text"))) == (0, 0)


@pytest.mark.parametrize("settings", [{"PONANT_DRAFTING": "false"}, {"PONANT_DETERMINISTIC": "true"}])
def test_settings_turn_it_off(tiny_model: Path, tiny_server: RunningServer, settings: dict[str, str]) -> None:
    fields: dict[str, Any] = {"random_seed": 8, "temperature": 0.3, "max_tokens": 60, "min_tokens": 60}
    expected = texts(answer(tiny_server, **fields))
    with serving(str(tiny_model), "--threads", "1", **EXACT, **settings) as server:
        response = answer(server, **fields, **predicted(expected[0]))
    assert texts(response) == expected
    assert details(response) == (0, 0)


def test_endless_prediction_changes_nothing(tiny_server: RunningServer) -> None:
    fields: dict[str, Any] = {"random_seed": 8, "max_tokens": 30, "min_tokens": 30}
    assert texts(answer(tiny_server, **fields, **predicted("la " * 1_000_000))) == texts(answer(tiny_server, **fields))


@pytest.mark.parametrize("wrong", [{"type": "tool"}, {"content": 3}, {"content": "a", "more": 1}, "a"])
def test_malformed_predictions_are_refused(tiny_server: RunningServer, wrong: Any) -> None:
    assert ask(tiny_server, prediction=wrong).status_code == 422
