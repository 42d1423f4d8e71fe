"""The trial of the contract: Schemathesis generates requests from the served schema and checks the replies."""

import json
import os
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from hostile.findings import Finding
from hostile.results import Part
from hostile.server_process import MeasuredServer
from hostile.tolerated import fetch_document

ROOT = Path(__file__).parents[1]
PROGRAM = ROOT / ".venv-hostile" / "bin" / "schemathesis"
_CONFIGURATION = Path(__file__).parent / "schemathesis.toml"
_SHORT = ("--phases", "coverage")
_FULL = ("--phases", "examples,coverage,fuzzing,stateful", "--max-time", "480")
"""The full form generates requests for eight minutes."""
_AGENT = "User-Agent: mistral-client-hostile/1"
"""Header of Mistral's clients: without it, fields that only OpenAI's API has select answers in OpenAI's dialect."""
_LONGEST_SECONDS = 900
_SHOWN_LINES, _SHOWN_WIDTH = 400, 600
"""Most lines of the program's own report that are printed, and most characters of each."""


def try_contract(server: MeasuredServer, *, full: bool) -> Part:
    """Run Schemathesis with all checks; its failures are findings by operation."""
    part = Part("contract (Schemathesis)")
    server.take()
    with tempfile.TemporaryDirectory(prefix="ponant-hostile-") as folder:
        report, schema = Path(folder) / "report.json", Path(folder) / "openapi.json"
        schema.write_text(json.dumps(fetch_document(server.url)))
        finished = subprocess.run(
            [
                *(str(PROGRAM), "--config-file", str(_CONFIGURATION), "run", str(schema), "--url", server.url),
                *(_FULL if full else _SHORT),
                *(
                    "--header",
                    _AGENT,
                    "--continue-on-failure",
                    "--no-shrink",
                    "--generation-database",
                    "none",
                    "--no-color",
                ),
                *("--report", "json", "--report-json-path", str(report)),
            ],
            cwd=folder,
            env={**os.environ, "PYTHONDONTWRITEBYTECODE": "1"},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
            timeout=_LONGEST_SECONDS,
        )
        result = json.loads(report.read_text()) if report.exists() else {}
    part.requests = result.get("test_cases", {}).get("generated", 0)
    part.findings.extend(_findings(result))
    if not result.get("complete"):
        part.findings.append(Finding("contract: not run", "Schemathesis", finished.stdout[-2000:]))
    elif part.findings:
        print("\n".join(line[:_SHOWN_WIDTH] for line in finished.stdout.splitlines()[:_SHOWN_LINES]))
    measured = server.take()
    part.worst_turn = measured.counts.worst_turn
    return part


def _findings(result: dict[str, Any]) -> Iterator[Finding]:
    for failure in result.get("failures", ()):
        for operation in failure["operations"]:
            yield Finding(f"contract: {failure['title']}", operation, f"{failure['code']}, seed {result['seed']}")
    for error in result.get("errors", ()):
        yield Finding("contract: error", "Schemathesis", json.dumps(error)[:2000])
