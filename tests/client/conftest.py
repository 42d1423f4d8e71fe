"""Clients that tests share, open for the whole run."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from ponant import Mistral
from tests.client.ways import WAYS, Way
from tests.in_process import EXACT
from tests.serving import RunningServer


@pytest.fixture(scope="session")
def over_http(tiny_server: RunningServer) -> Iterator[Mistral]:
    """Client of a server with the tiny model."""
    with Mistral(server_url=tiny_server.url, timeout_ms=120_000) as mistral:
        yield mistral


@pytest.fixture(scope="session")
def in_process(tiny_model: Path, tiny_embedder: Path) -> Iterator[Mistral]:
    """Client with the tiny models in this process."""
    models = [str(tiny_model), str(tiny_embedder)]
    # Training at normal priority, so that it is not delayed by tests that run at the same time.
    with Mistral.local(models, timeout_ms=120_000, training_nice=0, **EXACT) as mistral:
        yield mistral


@pytest.fixture(params=WAYS, scope="session")
def way(request: pytest.FixtureRequest) -> Way:
    """Each way to make a call."""
    where, how = request.param.split(", ")
    in_process = where == "in-process"
    client: Mistral = request.getfixturevalue("in_process" if in_process else "over_http")
    return Way(client, asynchronous=how == "async", in_process=in_process)
