"""Samples of the served document: each is answered with 200, and the request that arrives is the documented one."""

import asyncio
import json
import re
from typing import Any

import pytest

from ponant.samples.call import ApiCall
from ponant.samples.operations import OPERATIONS, Match, Operation, Reply, find_operation
from ponant.samples.samples import FORMS as ALL_FORMS
from ponant.server.code_samples import calls_of
from samples_run.arrived import assert_arrived
from samples_run.conftest import KEY
from samples_run.programs import CLIENTS, FORMS, Programs
from samples_run.shelf import CONTENT, Shelf
from samples_run.tape import Arrival, Tape
from samples_run.test_requests import sources
from tests.in_process import ScriptedServer

LABELS = {form.name: form.label for form in ALL_FORMS}
UNSENDABLE = {
    "python-mistralai": {"dry_run"},
    "javascript-mistralai": {"dry_run"},
}
"""Parameters that the official clients' methods do not have."""


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("operation", OPERATIONS, ids=lambda operation: operation.call)
def test_sample_makes_the_documented_request(
    server: ScriptedServer,
    document: dict[str, Any],
    shelves: list[Shelf],
    programs: Programs,
    tape: Tape,
    operation: Operation,
    form: str,
) -> None:
    documented = document["paths"][operation.path][operation.method.lower()]
    calls = list(calls_of(operation.path, operation.method, documented))
    assert calls, "the operation has no example"
    for number, call in enumerate(calls):
        given = sources(server, call)
        if number == 0:
            given = {sample["label"]: sample["source"] for sample in documented["x-codeSamples"]}
            given = {name: given[label] for name, label in LABELS.items() if label in given}
        if form not in given:
            assert UNSENDABLE.get(form, set()) & call.query.keys()
            continue
        fill(server, shelves[0], document, operation)
        match = find_operation(call)
        assert match
        printed = programs.run(form, given[form], early=operation.is_early)
        (arrival,) = tape.arrivals
        assert arrival.status == 200, arrival.answer
        assert arrival.headers["authorization"] == f"Bearer {KEY}"
        assert_arrived(arrival, call, client=form in CLIENTS)
        assert_shown(printed, arrival, call, match, programs, form)


def fill(server: ScriptedServer, shelf: Shelf, document: dict[str, Any], operation: Operation) -> None:
    """Put the documented file, job and fine-tuned model into the server."""
    filling = shelf.fill(
        file=example_of(document, "/v1/files/{file_id}"),
        job=example_of(document, "/v1/fine_tuning/jobs/{job_id}"),
        status="VALIDATED",
        model=example_of(document, "/v1/models/{model_id}", "delete"),
        archived=operation.call == "models.unarchive",
    )
    asyncio.run_coroutine_threadsafe(filling, server.loop).result(60)


def example_of(document: dict[str, Any], path: str, method: str = "get") -> str:
    """Return the example of the id in a path."""
    (parameter,) = document["paths"][path][method]["parameters"]
    return str(parameter["example"])


def assert_shown(printed: str, arrival: Arrival, call: ApiCall, match: Match, programs: Programs, form: str) -> None:
    """Check that a program has printed the answer, a streamed one piece by piece, or has written it to a file."""
    reply = match.operation.reply
    if reply is Reply.CONTENT:
        assert (programs.folder / "content.jsonl").read_bytes() == CONTENT
        (programs.folder / "content.jsonl").unlink()
        return
    assert printed
    if call.is_streamed:
        assert arrival.held, "nothing was printed before the end of the stream"
        pieces = [json.loads(line[6:]) for line in arrival.answer.decode().splitlines() if line.startswith("data: {")]
        words = [piece["choices"][0]["delta"].get("content") or "" for piece in pieces if piece["choices"]]
        assert all(word in printed for word in words) or "".join(words) in printed
    elif reply is Reply.COMPLETION:
        content = json.loads(arrival.answer)["choices"][0]["message"].get("content")
        if isinstance(content, str) and re.fullmatch(r"[\w .,!?]*", content):
            assert content in printed
