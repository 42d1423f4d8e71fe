"""GuideLLM: short benchmarks of chat and text completions."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

URL = os.environ["PONANT_URL"]
TOKENS = 8
QUESTIONS = ("In which city is the Eiffel Tower?", "What do bees make?", "Name a colour.")


def benchmark(folder: Path, path: str, *, profile: str = "kind=synchronous", **backend: Any) -> list[dict[str, Any]]:
    """Return the completed requests of a benchmark with three questions."""
    data, report = folder / "questions.jsonl", folder / "report.json"
    data.write_text("".join(json.dumps({"prompt": text, "output_tokens_count": TOKENS}) + "\n" for text in QUESTIONS))
    fields = {"kind": "openai_http", "target": URL, "request_format": path, "model": "mistral-small-latest"} | backend
    command = [
        str(Path(sys.executable).parent / "guidellm"),
        *("run", "--disable-progress", "--backend", ",".join(f"{name}={value}" for name, value in fields.items())),
        *("--profile", profile, "--constraint", "kind=max_requests,count=3"),
        *("--data", f"kind=json_file,path={data}", "--output", f"kind=json,path={report}"),
    ]
    result = subprocess.run(command, capture_output=True, text=True, check=False, cwd=folder)
    assert result.returncode == 0, result.stdout + result.stderr
    (run,) = json.loads(report.read_text())["benchmarks"]
    assert run["requests"]["errored"] == []
    completed: list[dict[str, Any]] = run["requests"]["successful"]
    assert completed  # it may leave out those at the end of the time that it measures
    return completed


@pytest.mark.parametrize("stream", [True, False])
@pytest.mark.parametrize("path", ["/v1/chat/completions", "/v1/completions"])
def test_requests_have_the_length_that_was_asked_for(tmp_path: Path, path: str, stream: bool) -> None:
    for request in benchmark(tmp_path, path, stream=str(stream).lower()):
        assert request["output_tokens"] == TOKENS
        assert request["prompt_tokens"] > 3


def test_chat_is_measured(tmp_path: Path) -> None:
    for request in benchmark(tmp_path, "/v1/chat/completions", stream="false"):
        assert request["output"]


def test_stream_is_measured(tmp_path: Path) -> None:
    for request in benchmark(tmp_path, "/v1/chat/completions"):
        assert request["output_tokens"] == TOKENS
        assert request["time_to_first_token_ms"] > 0


def test_async_requests_run_side_by_side(tmp_path: Path) -> None:
    for request in benchmark(tmp_path, "/v1/chat/completions", profile="kind=concurrent,streams=3"):
        assert request["output_tokens"] == TOKENS
