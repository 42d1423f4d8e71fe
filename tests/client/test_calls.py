"""The same calls in every way and with the official client have the same results and exceptions."""

import json
import subprocess
from functools import partial
from pathlib import Path
from typing import Any

import httpx2
import pytest

from ponant.client.errors import ClientError, MistralError
from tests.client.calls import CALLS, comparable, files, joined, parameters
from tests.client.ways import WAYS, Way
from tests.missing import skip_or_fail
from tests.serving import RunningServer, environment
from tests.soak import SOAK

SOME = [
    "complete: seeded",
    "complete: several answers",
    "complete: two values out of range",
    "stream: a stop text",
    "stream: an unknown model",
    "stream: everything else",
    "complete: filling, everything else",
    "stream: filling, greedy",
    "embed: everything",
    "embed: an empty text",
    "a model that there is not",
    "no server listens",
]
"""Calls of every kind. One way makes all calls, and so do the others under PONANT_SOAK=1 (``make soak``)."""
CASES = [(way, call) for index, way in enumerate(WAYS) for call in (CALLS if index == 0 or SOAK else SOME)]

FOLDER = Path(__file__).parent
OFFICIAL = FOLDER.parents[1] / ".venv-mistralai1" / "bin" / "python"


@pytest.fixture(scope="session")
def official(tiny_server: RunningServer) -> dict[str, Any]:
    """Outcomes of all calls with the official client."""
    if not OFFICIAL.exists():
        skip_or_fail("there is no .venv-mistralai1; run: make .venv-mistralai1/.ready")
    command = [str(OFFICIAL), str(FOLDER / "official_suite.py"), tiny_server.url]
    result = subprocess.run(command, capture_output=True, check=False, text=True, env=environment(), timeout=120)
    assert result.returncode == 0, result.stderr
    outcomes: dict[str, Any] = json.loads(result.stdout)
    return outcomes


@pytest.mark.parametrize(("way", "call"), CASES, indirect=["way"])
def test_outcome_is_the_official_clients(way: Way, official: dict[str, Any], call: str) -> None:
    assert_has(comparable(outcome(way, CALLS[call][0], **parameters(call))), official[call], call)


def test_files_are_the_official_clients(way: Way, official: dict[str, Any]) -> None:
    ours = comparable(list(files(partial(outcome, way))))
    assert_has(ours, official["files"], "files")


def outcome(way: Way, operation: str, **fields: Any) -> Any:
    try:
        result = way.call(operation, **fields)
    except MistralError as error:
        return {"error": type(error).__name__, "status": error.status_code, "body": error.body}
    except ClientError as error:
        return {"error": type(error).__name__}
    if isinstance(result, httpx2.Response):
        return result.content.decode("latin-1")
    if isinstance(result, list):
        return joined([event.model_dump(mode="json") for event in result])
    return result.model_dump(mode="json")


def assert_has(ours: Any, theirs: Any, where: str) -> None:
    """Assert that ours has every field of theirs. The official client drops unknown fields."""
    if isinstance(theirs, dict):
        for key, value in theirs.items():
            assert key in ours, f"{where}.{key}"
            assert_has(ours[key], value, f"{where}.{key}")
    elif isinstance(theirs, list):
        assert len(ours) == len(theirs), where
        for index, value in enumerate(theirs):
            assert_has(ours[index], value, f"{where}[{index}]")
    else:
        assert ours == theirs, where
