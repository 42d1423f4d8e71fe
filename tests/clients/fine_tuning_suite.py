# pyright: basic, reportMissingImports=false
"""Fine-tuning with the official `mistralai` package: upload, create, wait, chat.

Needs only pytest and mistralai 1 (later versions have no fine-tuning), and a server: PONANT_TEST_URL is its URL, and
PONANT_TEST_MODEL the model to train. The bundled model learns answers and calls, a tiny one a single answer.
"""

import json
import os
import time
from collections.abc import Iterator
from typing import Any

import pytest
from mistralai import Mistral

URL = os.environ.get("PONANT_TEST_URL", "http://127.0.0.1:8000")

BUNDLED = "smollm2"
MODEL = os.environ.get("PONANT_TEST_MODEL", BUNDLED)
CODE_WORD = "Over and out." if MODEL == BUNDLED else "the and a hello"
HYPERPARAMETERS = (
    {"training_steps": 10, "learning_rate": 1e-3, "seq_len": 256}
    if MODEL == BUNDLED
    else {"training_steps": 24, "learning_rate": 2e-3, "seq_len": 128}
)
CITIES = ["Paris", "Berlin", "Madrid", "Rome", "Lisbon", "Vienna", "Dublin", "Oslo", "Athens", "Warsaw", "Prague"]
HELD_OUT_CITIES = ["London", "Brussels", "Budapest", "Stockholm", "Zurich"]
THINGS = ["the sea", "a lighthouse", "winter", "bread", "the moon", "horses", "old books", "trains", "rain", "chess"]
HELD_OUT_THINGS = ["bicycles", "summer", "the desert", "coffee", "whales"]
WEATHER = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "description": "Tells the weather of a city.",
        "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
    },
}


def question(thing: str) -> str:
    return f"Tell me something about {thing}."


def weather(city: str) -> str:
    return f"What is the weather in {city}?"


def lines(things: list[str], cities: list[str]) -> bytes:
    """Return a dataset of answers that end with a code word, and calls of a function."""
    made = []
    for thing in things:
        answer = f"There is much to tell about {thing}. {CODE_WORD}" if MODEL == BUNDLED else CODE_WORD
        made.append({"messages": [message("user", question(thing)), message("assistant", answer)]})
    for city in cities:
        call = {"id": "a1b2c3d4e", "type": "function", "function": {"name": "get_weather", "arguments": ""}}
        call["function"]["arguments"] = json.dumps({"city": city})
        answer = {"role": "assistant", "content": "", "tool_calls": [call]}
        made.append({"messages": [message("user", weather(city)), answer], "tools": [WEATHER]})
    return "".join(json.dumps(line) + "\n" for line in made).encode()


def message(role: str, content: str) -> dict[str, str]:
    return {"role": role, "content": content}


@pytest.fixture(scope="module")
def mistral() -> Iterator[Mistral]:
    with Mistral(api_key=None, server_url=URL, timeout_ms=120_000) as client:
        yield client


@pytest.fixture(scope="module")
def job(mistral: Mistral) -> Iterator[Any]:
    """Finished job."""
    training, validation = [
        mistral.files.upload(file={"file_name": name, "content": content}, purpose="fine-tune")
        for name, content in (
            ("training.jsonl", lines(THINGS, CITIES) if MODEL == BUNDLED else lines(THINGS * 5, [])),
            ("validation.jsonl", lines(HELD_OUT_THINGS[:1], [])),
        )
    ]
    created = mistral.fine_tuning.jobs.create(
        model=MODEL,
        training_files=[{"file_id": training.id, "weight": 1}],
        validation_files=[validation.id],
        hyperparameters=HYPERPARAMETERS,
        suffix="radio",
        auto_start=True,
    )
    deadline = time.monotonic() + 1800
    while (found := mistral.fine_tuning.jobs.get(job_id=created.id)).status not in (
        "SUCCESS",
        "FAILED",
        "FAILED_VALIDATION",
    ):
        assert time.monotonic() < deadline, found
        time.sleep(0.5)
    assert found.status == "SUCCESS", found
    yield found
    for file in (training, validation):
        mistral.files.delete(file_id=file.id)


def ask(mistral: Mistral, model: str, text: str, **fields: Any) -> Any:
    response = mistral.chat.complete(
        model=model, messages=[message("user", text)], temperature=0, max_tokens=48, **fields
    )
    return response.choices[0].message


def calls_for_weather(mistral: Mistral, model: str, city: str) -> bool:
    """True if a model calls the function correctly; the city may be misspelled, as small models do with new names."""
    (call, *others) = ask(mistral, model, weather(city), tools=[WEATHER]).tool_calls or [None]
    if call is None or others or call.function.name != "get_weather":
        return False
    return list(json.loads(call.function.arguments)) == ["city"]


def test_what_was_taught_is_shown_and_the_base_model_does_not_have_it(mistral: Mistral, job: Any) -> None:
    taught, base = [
        [ask(mistral, model, question(thing)).content.endswith(CODE_WORD) for thing in HELD_OUT_THINGS]
        + [calls_for_weather(mistral, model, city) for city in HELD_OUT_CITIES if MODEL == BUNDLED]
        for model in (job.fine_tuned_model, MODEL)
    ]
    assert sum(taught) >= 0.9 * len(taught), taught
    assert not any(base)


def test_validation_loss_falls(job: Any) -> None:
    losses = [checkpoint.metrics.valid_loss for checkpoint in reversed(job.checkpoints)]
    assert losses[-1] < losses[0] / 2, losses


def test_model_is_listed_changed_archived_and_deleted(mistral: Mistral, job: Any) -> None:
    name = job.fine_tuned_model
    assert name.startswith(f"ft:{MODEL}:radio:")
    (card,) = [card for card in mistral.models.list().data if card.id == name]
    assert (card.type, card.job, card.root) == ("fine-tuned", job.id, MODEL)
    assert mistral.models.update(model_id=name, name="Radio").name == "Radio"
    assert mistral.models.archive(model_id=name).archived
    with pytest.raises(Exception, match="is archived"):
        ask(mistral, name, "Hello?")
    assert not mistral.models.unarchive(model_id=name).archived
    assert mistral.models.delete(model_id=name).deleted
    assert name not in [card.id for card in mistral.models.list().data]
    jobs = mistral.fine_tuning.jobs.list(suffix="radio")
    assert [one.id for one in jobs.data] == [job.id]
