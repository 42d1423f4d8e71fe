"""Swift's compiler on the samples, for `make swift-samples`. Without one, they are only parsed, by the daily tests."""

import shutil
import subprocess
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from samples_run.test_requests import sources
from tests.in_process import ScriptedServer
from tests.samples.calls import CALLS

MISSING = "swiftc is not installed. Debian 13 has it: apt-get install swiftlang. Others: see Swift's pages on Linux"


def test_samples_in_swift_have_the_right_types(
    server: ScriptedServer, document: dict[str, Any], tmp_path: Path
) -> None:
    compiler = shutil.which("swiftc") or pytest.skip(MISSING)
    programs = [sources(server, call)["swift"] for call in CALLS]
    programs += [
        sample["source"]
        for operations in document["paths"].values()
        for operation in operations.values()
        for sample in operation.get("x-codeSamples", ())
        if sample["lang"] == "swift"
    ]
    paths = [tmp_path / f"sample{number}.swift" for number in range(len(programs))]
    for path, program in zip(paths, programs, strict=True):
        path.write_text(program)

    def errors(path: Path) -> str:
        command = [compiler, "-typecheck", "-warnings-as-errors", str(path)]
        return subprocess.run(command, capture_output=True, text=True, check=False).stderr

    with ThreadPoolExecutor(2) as pool:
        found = [said for said in pool.map(errors, paths) if said]
    assert not found, "\n".join(found)
