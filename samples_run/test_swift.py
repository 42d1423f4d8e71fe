"""Swift's compiler on the samples, for `make swift-samples`. Without one, the daily tests only parse them."""

import shutil
import subprocess
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from ponant.samples.operations import OPERATIONS, Operation
from samples_run.stage import Stage, sources
from tests.in_process import ScriptedServer
from tests.samples.calls import CALLS

pytestmark = pytest.mark.skipif(
    not shutil.which("swiftc"), reason="swiftc is not installed; Debian 13 has it: apt-get install swiftlang"
)


def test_programs_have_the_right_types(server: ScriptedServer, tmp_path: Path) -> None:
    paths = []
    for number, call in enumerate(CALLS):
        paths.append(tmp_path / f"sample{number}.swift")
        paths[-1].write_text(sources(server, call)["swift"])

    def errors(path: Path) -> str:
        command = ["swiftc", "-typecheck", "-warnings-as-errors", str(path)]
        return subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False).stderr

    with ThreadPoolExecutor(2) as pool:
        found = [said for said in pool.map(errors, paths) if said]
    assert not found, "\n".join(found)


@pytest.mark.parametrize("operation", OPERATIONS, ids=lambda operation: operation.call)
def test_sample_makes_the_documented_request(stage: Stage, operation: Operation) -> None:
    stage.check(operation, "swift")
