"""The model that commands use: on a running server, or in this process."""

import contextlib
import logging
import os
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, TextIO

import click

from ponant.cli.api_key import api_key, exposure
from ponant.cli.configuration import settings
from ponant.cli.errors import fail
from ponant.cli.fetching import fetch_models

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ponant import Mistral

_BUNDLED = "smollm2"
_PROBE_TIMEOUT_MS = 1000
"""Timeout of the probe for a running server."""
_LOADING_TIMEOUT_MS = 600_000
"""Longest wait for a server that loads its models."""
_LOADING, _UNAUTHORIZED = 503, 401


@dataclass(frozen=True, slots=True)
class ModelConnection:
    """A client and the model to use.

    Attributes:
        mistral: the client.
        model: name of the model; None for the default model.
        server_url: URL of the server; None for this process.
    """

    mistral: "Mistral"
    model: str | None
    server_url: str | None


@contextlib.contextmanager
def connect(server_url: str | None, model: str | None, *, local: bool) -> "Iterator[ModelConnection]":
    """Connect to a server, or start a model in this process.

    Args:
        server_url: URL of the server. None probes the default URL, and falls back to this process.
        model: name of a model, or a source as for `ponant serve`.
        local: use this process even if a server is running.
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
    if url and api_key() and (reason := exposure(url)):
        fail(reason)
    with mistral:
        if url or _is_running(mistral):
            yield ModelConnection(mistral, model, url or DEFAULT_URL)
            return
    with connect(None, model, local=True) as connected:
        yield connected


def is_terminal(stream: TextIO | None) -> bool:
    """Return True if a stream is a terminal. A stream is None if it was closed before the start of the program."""
    return stream is not None and stream.isatty()


def _is_running(mistral: "Mistral") -> bool:
    """Return True if a server responds. Wait for it while it loads its models."""
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
    """Start a model in this process."""
    from pydantic import ValidationError

    from ponant import Mistral
    from ponant.errors import ModelLoadError
    from ponant.settings import describe_errors
    from ponant.storage.errors import StorageError
    from ponant.weights.errors import ModelNotFoundError
    from ponant.weights.store import is_hub_source

    if source and is_hub_source(source):
        fetch_models([source], settings(None, None))
    if is_terminal(sys.stderr):
        click.echo(f"Starting {source or 'a model'} in this process, without a server.", err=True)
    logging.getLogger("ponant").setLevel(logging.ERROR)  # the responses report errors
    try:
        with Mistral.local(source) as mistral:
            yield mistral
    except (ModelNotFoundError, ModelLoadError, StorageError) as error:
        fail(str(error))
    except ValidationError as error:
        fail(describe_errors(error))
