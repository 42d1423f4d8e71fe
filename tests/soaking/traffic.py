"""Clients of the soak trial. Each repeats its kind of requests until the end of a round, and notes wrong answers."""

import contextlib
import hashlib
import json
import random
import socket
import struct
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from urllib.parse import urlsplit

import httpx2

from tests.chatting import CHAT, body
from tests.jobs import JOBS, ask, create, error, get, wait_for
from tests.jobs import upload as upload_dataset
from tests.server.files import FILES, upload
from tests.server.schemas import assert_satisfies, json_schema
from tests.serving import ServerProcess
from tests.soaking.answers import Interrupted, agrees, asked, is_beginning
from tests.soaking.cases import BAD, COMPARED, STREAMING, Case

SPARED = "spared"
"""Model whose worker is neither killed nor stopped."""
KEPT_FILES = 10
REMEMBERED_FILES, REMEMBERED_SCHEMAS = 10_000, 1_024
"""Deleted files and checked schemas that a server remembers."""
CLIENTS = 8
"""Clients that fill the caches."""
SILENT = 20
PAUSE = 0.02
"""Seconds between two requests of a client, which leave some time to the client's own process."""
JOB_PAUSE = 5.0
NO_LINGER = struct.pack("ii", 1, 0)


class Traffic:
    """Mixed traffic with a server.

    Attributes:
        counts: number of requests by kind and outcome.
        wrong: descriptions of wrong answers and of losses.
    """

    def __init__(self, server: ServerProcess, draw: random.Random) -> None:
        self._server = server
        self._draw = draw
        self._files: dict[str, bytes] = {}
        self._jobs: dict[str, str] = {}
        self._running = threading.Event()
        self.counts: Counter[str] = Counter()
        self.wrong: list[str] = []
        with server.client() as client:
            self._expected = {id(case): asked(client, case) for case in COMPARED}
            self._refusals = {id(case): _refusal(client, case) for case in BAD}
        self._use_all_connections()
        self._fill_caches()

    def round(self, seconds: float, in_between: Callable[[], None]) -> None:
        """Run all clients for some seconds, with a call at a random moment."""
        self._running.set()
        kinds = [self._compare] * 3 + [self._vary, self._store, self._train, self._err, self._cut, self._be_silent]
        with ThreadPoolExecutor(len(kinds)) as threads:
            clients = [threads.submit(self._repeat, kind) for kind in kinds]
            try:
                moment = self._draw.uniform(0.1, 0.7) * seconds
                time.sleep(moment)
                in_between()
                time.sleep(seconds - moment)
            finally:
                self._running.clear()
            for client in clients:
                client.result()

    def check_state(self) -> None:
        """Note every file and job that is not as it was left."""
        with self._server.client() as client:
            listed = {
                file["id"]: file["signature"] for file in client.get(FILES, params={"page_size": 1000}).json()["data"]
            }
            kept = {file_id: hashlib.sha256(content).hexdigest() for file_id, content in self._files.items()}
            if listed != kept:
                self.wrong.append(f"files {listed} are not {kept}")
            for file_id, content in self._files.items():
                if client.get(f"{FILES}/{file_id}/content").content != content:
                    self.wrong.append(f"content of {file_id}")
            for job_id, status in self._jobs.items():
                if (now := get(client, job_id)["status"]) != status:
                    self.wrong.append(f"job {job_id} was {status} and is {now}")

    def _use_all_connections(self) -> None:
        """Read at once as often as the server has connections to its database, which it keeps from then on."""

        def read(_: int) -> None:
            with self._server.client() as client:
                for _ in range(20):
                    client.get(FILES).raise_for_status()

        with ThreadPoolExecutor(16) as threads:
            list(threads.map(read, range(16)))

    def _fill_caches(self) -> None:
        """Check as many schemas and delete as many files as the server remembers, so that its memory is full."""

        def delete(_: int) -> None:
            with self._server.client() as client:
                for _ in range(REMEMBERED_FILES // CLIENTS):
                    file_id = upload(client, b"{}", name="filler.bin", purpose="batch").raise_for_status().json()["id"]
                    client.delete(f"{FILES}/{file_id}").raise_for_status()

        def check(number: int) -> None:
            with self._server.client() as client:
                for seed in range(number, REMEMBERED_SCHEMAS, CLIENTS):
                    form = body(response_format=json_schema(_new_schema(seed)), max_tokens=1, random_seed=seed)
                    client.post(CHAT, json=form).raise_for_status()

        with ThreadPoolExecutor(CLIENTS) as threads:
            list(threads.map(delete, range(CLIENTS)))
            list(threads.map(check, range(CLIENTS)))

    def _repeat(self, kind: Callable[[httpx2.Client], None]) -> None:
        name = kind.__name__.removeprefix("_")
        with self._server.client() as client:
            while self._running.is_set():
                try:
                    kind(client)
                except (httpx2.HTTPError, AssertionError, OSError, KeyError, ValueError) as failure:
                    response = failure.response.text if isinstance(failure, httpx2.HTTPStatusError) else ""
                    self.wrong.append(f"{time.ctime()} {name}: {type(failure).__name__} {failure} {response}"[:2000])
                    self.counts[f"{name} wrong"] += 1
                self.counts[name] += 1
                time.sleep(PAUSE)

    def _compare(self, client: httpx2.Client) -> None:
        """Compare an answer with that of the undisturbed server."""
        case = self._draw.choice(COMPARED)
        answer, expected = asked(client, case), self._expected[id(case)]
        if isinstance(answer, Interrupted):
            self.counts["streams ended by an error"] += 1
            assert answer.kind == "unavailable", (case, answer)
            assert is_beginning(answer, expected), (case, answer, expected)
        else:
            assert agrees(answer, expected), (case, answer, expected)

    def _vary(self, client: httpx2.Client) -> None:
        """Ask something new twice, whole and streamed, and for a document of a new schema.

        The answers are greedy: rounding differs by 3e-6 between batches of other shapes, which suffices to change a
        sampled token in one of thousands of answers.
        """
        seed = self._draw.randrange(2**31)
        fields = body(f"{seed} " * self._draw.randrange(1, 30), max_tokens=self._draw.randrange(1, 200), temperature=0)
        fields["model"] = self._draw.choice(["tiny", SPARED])
        whole = client.post(CHAT, json=fields).raise_for_status().json()["choices"][0]
        streamed = asked(client, Case(CHAT, fields | {"stream": True}))
        if isinstance(streamed, Interrupted):
            self.counts["streams ended by an error"] += 1
            assert streamed.kind == "unavailable", streamed
        else:
            assert streamed == {0: (whole["message"]["content"], whole["finish_reason"])}, fields
        schema = _new_schema(seed)
        form = body(response_format=json_schema(schema), max_tokens=100, random_seed=seed)
        assert_satisfies(client.post(CHAT, json=form).raise_for_status().json()["choices"][0], schema)

    def _store(self, client: httpx2.Client) -> None:
        """Upload a file, read it and delete the oldest one."""
        content = self._draw.randbytes(self._draw.choice([1, 1000, 100_000, 2_000_000]))
        response = upload(client, content, name=f"{len(content)}.bin", purpose="batch").raise_for_status()
        self._files[response.json()["id"]] = content
        file_id, kept = self._draw.choice(list(self._files.items()))
        read = client.get(f"{FILES}/{file_id}/content").raise_for_status().content
        assert read == kept, (file_id, len(read), len(kept))
        if len(self._files) > KEPT_FILES:
            oldest = next(iter(self._files))
            client.delete(f"{FILES}/{oldest}").raise_for_status()
            del self._files[oldest]
            assert client.get(f"{FILES}/{oldest}").status_code == 404

    def _train(self, client: httpx2.Client) -> None:
        """Run a job to its end or cancel it, ask its model, and delete model and file."""
        file_id = upload_dataset(client)
        cancels = self._draw.random() < 0.3
        try:
            job = create(client, file_id, steps=self._draw.randrange(1, 300))
            if cancels:
                time.sleep(self._draw.random())
                client.post(f"{JOBS}/{job['id']}/cancel").raise_for_status()
            job = wait_for(client, job["id"])
            self._jobs[job["id"]] = job["status"]
            self.counts[f"jobs {job['status']}"] += 1
            if job["status"] == "SUCCESS":
                assert ask(client, job["fine_tuned_model"], "hello 5")
                client.delete(f"/v1/models/{job['fine_tuned_model']}").raise_for_status()
            elif job["status"] == "FAILED":
                assert "killed" in error(job), job
            else:
                assert cancels, job
        finally:
            client.delete(f"{FILES}/{file_id}").raise_for_status()
        self._pause(JOB_PAUSE)

    def _err(self, client: httpx2.Client) -> None:
        """Compare the answer to a bad request."""
        case = self._draw.choice(BAD)
        assert _refusal(client, case) == self._refusals[id(case)], case
        self._pause(0.1)

    def _cut(self, _: httpx2.Client) -> None:
        """Close a connection in the middle of a head, a body, an upload, a wait or a stream."""
        with self._connected() as connection:
            head = f"POST {CHAT} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
            case = self._draw.choice(STREAMING)
            fields = case.fields | self._draw.choice([{}, {"stream": False}])
            content = json.dumps(fields | {"n": 1}).encode()
            request = head.replace(CHAT, case.path).encode() + b"Content-Length: %d\r\n\r\n" % len(content) + content
            form = head.replace(CHAT, FILES).replace("application/json", "multipart/form-data; boundary=x").encode()
            form += b"Content-Length: 999999\r\n\r\n"
            form += b'--x\r\nContent-Disposition: form-data; name="file"; filename="cut"\r\n\r\n'
            form += self._draw.randbytes(self._draw.choice([10, 100_000]))
            sent = self._draw.choice([request, request, request[: self._draw.randrange(len(request))], form])
            connection.sendall(sent)
            if sent == request and self._draw.random() < 0.7:
                connection.recv(self._draw.choice([1, 1000]))
            elif self._draw.random() < 0.5:
                time.sleep(self._draw.random() / 10)
            if self._draw.random() < 0.5:
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, NO_LINGER)
        self._pause(0.05)

    def _be_silent(self, _: httpx2.Client) -> None:
        """Open connections that send nothing, or a part of a head."""
        with contextlib.ExitStack() as stack:
            for number in range(SILENT):
                connection = stack.enter_context(self._connected())
                connection.sendall(b"GET /health HTTP/1.1\r\n"[:number])
            self._pause(20)

    @contextlib.contextmanager
    def _connected(self) -> Iterator[socket.socket]:
        address = urlsplit(self._server.url)
        with socket.create_connection((address.hostname, address.port), timeout=60) as connection:
            yield connection

    def _pause(self, seconds: float) -> None:
        """Wait for some seconds, or for the end of the round."""
        end = time.monotonic() + seconds
        while self._running.is_set() and time.monotonic() < end:
            time.sleep(min(0.1, seconds))


def _new_schema(seed: int) -> dict[str, Any]:
    name = f"a{seed}"
    properties = {name: {"enum": [seed, "b"]}}
    return {"type": "object", "properties": properties, "required": [name], "additionalProperties": False}


def _refusal(client: httpx2.Client, case: Case) -> tuple[int, Any]:
    response = client.post(case.path, json=case.fields)
    assert 400 <= response.status_code < 500, response.text
    return response.status_code, response.json()
