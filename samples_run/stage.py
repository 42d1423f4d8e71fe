"""A documented request from the document to the server: program, arrival and output."""

import asyncio
import dataclasses
import json
import re
from dataclasses import dataclass
from typing import Any, TypeAlias

from ponant.samples.call import ApiCall
from ponant.samples.operations import Operation, Reply, find_operation
from ponant.samples.samples import FORMS as ALL_FORMS
from ponant.server.code_samples import calls_of
from samples_run.arrived import assert_arrived
from samples_run.programs import CLIENTS, Programs
from samples_run.shelf import CONTENT, Shelf
from samples_run.tape import Arrival, Tape
from tests.in_process import ScriptedServer

Json: TypeAlias = dict[str, Any]

KEY = "a-key-of-the-samples"
OFFICIAL = ("python-mistralai", "javascript-mistralai")


@dataclass
class Stage:
    """A server and the programs that call it.

    Attributes:
        server: the server.
        document: its document of the Mistral API.
        shelf: its files, jobs and models.
        programs: the runners.
        tape: the requests of the running program.
    """

    server: ScriptedServer
    document: Json
    shelf: Shelf
    programs: Programs
    tape: Tape

    def check(self, operation: Operation, form: str) -> None:
        """Run the sample of an operation, and those of its other examples."""
        documented = self.document["paths"][operation.path][operation.method.lower()]
        calls = list(calls_of(operation.path, operation.method, documented))
        assert calls, "the operation has no example"
        for number, call in enumerate(calls):
            given = sources(self.server, call)
            if number == 0:
                assert given == written(documented), "the samples of the document differ from those of POST /pages/code"
            if form not in given:
                assert form in OFFICIAL
                assert "dry_run" in call.query or (call.body or {}).get("encoding_format") == "base64"
                continue
            self._fill(operation)
            self.run(call, form, given[form])

    def run(self, call: ApiCall, form: str, source: str) -> None:
        """Run a program, and check what arrives and what it prints."""
        match = find_operation(call)
        assert match
        printed = self.programs.run(form, source, early=match.operation.is_early)
        (arrival,) = self.tape.arrivals
        assert arrival.status == 200, arrival.answer
        assert arrival.headers["authorization"] == f"Bearer {KEY}"
        assert_arrived(arrival, call, client=form in CLIENTS)
        self._check_output(printed, arrival, call, match.operation)

    def _fill(self, operation: Operation) -> None:
        """Put the documented file, job and fine-tuned model into the server."""
        filling = self.shelf.fill(
            file=self._id("/v1/files/{file_id}"),
            job=self._id("/v1/fine_tuning/jobs/{job_id}"),
            status="VALIDATED",
            model=self._id("/v1/models/{model_id}", "delete"),
            archived=operation.call == "models.unarchive",
        )
        asyncio.run_coroutine_threadsafe(filling, self.server.loop).result(60)

    def _id(self, path: str, method: str = "get") -> str:
        """Return the example of the id in a path."""
        (parameter,) = self.document["paths"][path][method]["parameters"]
        return str(parameter["example"])

    def _check_output(self, printed: str, arrival: Arrival, call: ApiCall, operation: Operation) -> None:
        """Check that a program has printed the answer, a streamed one piece by piece, or has written it to a file."""
        if operation.reply is Reply.CONTENT:
            file = self.programs.folder / "content.jsonl"
            assert file.read_bytes() == CONTENT
            file.unlink()
            return
        assert printed
        if call.is_streamed:
            assert arrival.held, "nothing was printed before the end of the stream"
            lines = [line[6:] for line in arrival.answer.decode().splitlines() if line.startswith("data: {")]
            choices = [choice for line in lines for choice in json.loads(line)["choices"]]
            words = [choice["delta"].get("content") or "" for choice in choices]
            assert all(word in printed for word in words) or "".join(words) in printed
        elif operation.reply is Reply.COMPLETION:
            content = json.loads(arrival.answer)["choices"][0]["message"].get("content")
            if isinstance(content, str) and re.fullmatch(r"[\w .,!?]*", content):
                assert content in printed


def sources(server: ScriptedServer, call: ApiCall, address: str | None = None) -> dict[str, str]:
    """Return the programs of a call by their forms, as ``POST /pages/code`` has them."""
    given = {name: value for name, value in dataclasses.asdict(call).items() if value is not None}
    with server.client() as client:
        response = client.post("/pages/code", json=given | {"address": address})
    assert response.status_code == 200, response.text
    return {sample["form"]: sample["source"] for sample in response.json()["samples"]}


def written(operation: Json) -> dict[str, str]:
    """Return the programs of a documented operation by their forms."""
    given = {sample["label"]: sample["source"] for sample in operation["x-codeSamples"]}
    return {form.name: given[form.label] for form in ALL_FORMS if form.label in given}
