"""Any request as code (``POST /pages/code``): what arrives is the request, whatever characters it has."""

import contextlib

import pytest

from ponant.samples.operations import find_operation
from samples_run.arrived import assert_arrived
from samples_run.programs import CLIENTS, FORMS, ProgramError, Programs
from samples_run.shelf import CONTENT
from samples_run.stage import sources
from samples_run.tape import Tape
from tests.in_process import ScriptedServer
from tests.samples.calls import CALLS


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("number", range(len(CALLS)))
def test_request_arrives_as_it_was_given(
    server: ScriptedServer, programs: Programs, tape: Tape, number: int, form: str
) -> None:
    call = CALLS[number]
    source = sources(server, call).get(form)
    if source is None:
        return
    match = find_operation(call)
    assert match
    if call.form:
        (programs.folder / call.form.file_name).write_bytes(CONTENT)
    with contextlib.suppress(ProgramError):  # the server refuses some of the values
        programs.run(form, source, early=match.operation.is_early)
    (arrival,) = tape.arrivals
    assert_arrived(arrival, call, client=form in CLIENTS)
