"""Samples of the served documents: each is answered with 200, and the request that arrives is the documented one."""

import pytest

from ponant.samples.operations import OPERATIONS, Operation
from ponant.server.code_samples import calls_of
from samples_run.programs import FORMS
from samples_run.stage import Stage, sources, written

CHAT = "/v1/chat/completions"


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("operation", OPERATIONS, ids=lambda operation: operation.call)
def test_sample_makes_the_documented_request(stage: Stage, operation: Operation, form: str) -> None:
    stage.check(operation, form)


@pytest.mark.parametrize("form", FORMS)
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
