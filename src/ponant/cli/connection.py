"""Who answers commands: a running server, or a model in this process."""

import contextlib
import logging
import os
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, TextIO

import click

from ponant.cli.configuration import settings
from ponant.cli.errors import fail
from ponant.cli.fetching import fetch_models

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ponant import Mistral

_BUNDLED = "smollm2"
_PROBE_TIMEOUT_MS = 1000
"""How long to look for a running server."""
_LOADING_TIMEOUT_MS = 600_000
"""How long to wait for one that loads its models."""
_LOADING, _UNAUTHORIZED = 503, 401


@dataclass(frozen=True, slots=True)
class ModelConnection:
    """Who answers.

    Attributes:
        mistral: the client.
        model: the name by which it knows the model; None for its own choice.
        server_url: where the server is; None for this process.
    """

    mistral: "Mistral"
    model: str | None
    server_url: str | None


@contextlib.contextmanager
def connect(server_url: str | None, model: str | None, *, local: bool) -> "Iterator[ModelConnection]":
    """A client of a server, or of a model in this process.

    Args:
        server_url: where the server is; None looks for one, and runs the model in this process if there is none.
        model: a model's name, or what `ponant serve` takes for one.
        local: whether to look for no server.
    """
    from ponant import Mistral
    from ponant.client.sdk import DEFAULT_URL

    is_source = model is not None and (model.endswith(".gguf") or model.startswith("hf:"))
    url = server_url or os.environ.get("PONANT_URL")
    if local or (is_source and not url):
        source = model if is_source or model == _BUNDLED else None
        with _local_client(source) as mistral:
            yield ModelConnection(mistral, None if source else model, None)
        return
    try:
        mistral = Mistral(server_url=url)
    except ValueError as error:
        fail(str(error))
    with mistral:
        if url or _is_running(mistral):
            yield ModelConnection(mistral, model, url or DEFAULT_URL)
            return
    with connect(None, model, local=True) as connected:
        yield connected


def is_terminal(stream: TextIO | None) -> bool:
    """Whether people sit at the other end; a stream is None if it was closed before the program began."""
    return stream is not None and stream.isatty()


def _is_running(mistral: "Mistral") -> bool:
    """Whether there is a server. One that is loading its models is waited for."""
    from ponant import utils
    from ponant.client.errors import ClientError, SDKError

    try:
        mistral.models.list(timeout_ms=_PROBE_TIMEOUT_MS)
    except SDKError as error:
        if error.status_code == _LOADING:
            pauses = utils.BackoffStrategy(500, 2000, 1.5, _LOADING_TIMEOUT_MS)
            mistral.models.list(retries=utils.RetryConfig("backoff", pauses, retry_connection_errors=False))
        return error.status_code in (_LOADING, _UNAUTHORIZED)
    except ClientError:
        return False
    return True


@contextlib.contextmanager
def _local_client(source: str | None) -> "Iterator[Mistral]":
    """A client whose model is in this process."""
    from pydantic import ValidationError

    from ponant import Mistral
    from ponant.errors import ModelLoadError
    from ponant.storage.errors import StorageError
    from ponant.weights.errors import ModelNotFoundError
    from ponant.weights.store import is_hub_source

    if source and is_hub_source(source):
        fetch_models([source], settings(None, None))
    if is_terminal(sys.stderr):
        click.echo(f"Starting {source or 'a model'} in this process, without a server.", err=True)
    logging.getLogger("ponant").setLevel(logging.ERROR)  # what servers warn of is told as errors of what was asked
    try:
        with Mistral.local(source) as mistral:
            yield mistral
    except (ModelNotFoundError, ModelLoadError, StorageError) as error:
        fail(str(error))
    except ValidationError as error:
        fail("; ".join(f"{'.'.join(map(str, reason['loc']))}: {reason['msg']}" for reason in error.errors()))
