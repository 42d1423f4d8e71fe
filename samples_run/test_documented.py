"""Samples of the served documents: each is answered with 200, and the request that arrives is the documented one."""

import pytest

from ponant.samples.operations import OPERATIONS, Operation
from ponant.server.code_samples import calls_of
from samples_run.programs import FORMS, Programs
from samples_run.stage import Stage, sources, written
from samples_run.tape import Tape
from tests.in_process import ScriptedServer

CHAT = "/v1/chat/completions"


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("operation", OPERATIONS, ids=lambda operation: operation.call)
def test_sample_makes_the_documented_request(stage: Stage, operation: Operation, form: str) -> None:
    stage.check(operation, form)


@pytest.mark.parametrize("form", [*FORMS, "python-openai"])
def test_sample_makes_the_documented_request_of_nim(stage: Stage, form: str) -> None:
    with stage.server.client() as client:
        operation = client.get("/nim/openapi.json").json()["paths"][CHAT]["post"]
    address = f"{stage.server.url}/nim"
    for number, call in enumerate(calls_of(CHAT, "post", operation)):
        given = sources(stage.server, call, address)
        if number == 0:
            assert given == written(operation)
        if form in given:
            stage.run(call, form, given[form])


@pytest.mark.parametrize("form", FORMS)
def test_sample_runs_as_a_program_and_sends_no_key_to_a_server_without_keys(
    keyless: ScriptedServer, programs: Programs, tape: Tape, form: str
) -> None:
    with keyless.client() as client:
        operation = client.get("/openapi.json").json()["paths"][CHAT]["post"]
    assert programs.run(form, written(operation)[form], early=False, alone=True)
    (arrival,) = tape.arrivals
    assert arrival.status == 200
    assert "authorization" not in arrival.headers
