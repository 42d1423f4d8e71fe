"""Run tests with each seeded fault and report the faults that no test catches.

A fault is applied to a copy of `src` that comes first on PYTHONPATH; the working tree is unchanged. The tests must pass
without faults; `make test` checks that.
"""

import argparse
import asyncio
import contextlib
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Literal

from faults.seeded import FAULTS, Fault

ROOT = Path(__file__).parents[1]

_AT_ONCE = 2
_NAMED_SECONDS = 300
"""Timeout in seconds of a fault's named tests."""
_WHOLE_SECONDS = 3600
"""Timeout in seconds of the daily suite."""
_LINES_SHOWN = 30

Verdict = Literal["caught", "NOT CAUGHT", "BROKEN"]
_VERDICTS: dict[int | None, Verdict] = {0: "NOT CAUGHT", 1: "caught"}
"""Verdicts by pytest's exit code; any other code is an error of the run itself."""
_FAILURE = re.compile(r"^(?:FAILED|ERROR) (.+?)(?: - |$)", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Outcome:
    """Result of the tests with one fault. ``output`` is their output, or the reason why they could not run."""

    name: str
    verdict: Verdict
    seconds: float
    output: str

    @property
    def failure(self) -> str:
        """Node id of the first failed test, if any."""
        found = _FAILURE.search(self.output)
        return found[1] if found else ""


class UnusableFaultError(Exception):
    """The fault cannot be applied to the code."""


def main() -> None:
    """Run the faults named on the command line, or all. Exit with 1 unless all are caught."""
    parser = argparse.ArgumentParser(prog="python -m faults.run", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help="faults to run (default: all)")
    parser.add_argument("--whole", action="store_true", help="run the daily suite, not the tests that the table names")
    arguments = parser.parse_args()
    unknown = set(arguments.names) - {fault.name for fault in FAULTS}
    if unknown:
        parser.error(f"there is no fault {', '.join(sorted(unknown))}")
    chosen = [fault for fault in FAULTS if fault.name in arguments.names or not arguments.names]
    outcomes = asyncio.run(_run_all(chosen, whole=arguments.whole))
    _report(chosen, outcomes)
    sys.exit(any(outcome.verdict != "caught" for outcome in outcomes.values()))


async def _run_all(faults: Sequence[Fault], *, whole: bool) -> dict[str, Outcome]:
    """Run `_AT_ONCE` faults at a time and print each outcome as it arrives; return the outcomes by name."""
    outcomes: dict[str, Outcome] = {}
    free = asyncio.Semaphore(_AT_ONCE)

    async def one(fault: Fault) -> None:
        async with free:
            outcome = outcomes[fault.name] = await _run(fault, whole=whole)
        count = f"[{len(outcomes)}/{len(faults)}]"
        print(
            f"{count:7} {outcome.verdict:10} {outcome.seconds:6.1f} s  {outcome.name:31} {outcome.failure}", flush=True
        )

    async with asyncio.TaskGroup() as running:
        for fault in faults:
            running.create_task(one(fault))
    return outcomes


async def _run(fault: Fault, *, whole: bool) -> Outcome:
    """Run the tests with one fault."""
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="ponant-fault-") as folder:
        try:
            environment = _put_in(fault, Path(folder))
            tests, limit = ((), _WHOLE_SECONDS) if whole else (fault.tests, _NAMED_SECONDS)
            status, output = await _pytest(tests, environment, limit)
            verdict = _VERDICTS.get(status, "BROKEN")
        except (UnusableFaultError, TimeoutError) as error:
            verdict, output = "BROKEN", str(error) or "The tests took too long."
    return Outcome(fault.name, verdict, time.monotonic() - began, output)


def _put_in(fault: Fault, folder: Path) -> dict[str, str]:
    """Apply a fault to a copy of the code; return the environment in which Python imports that copy.

    Raises:
        UnusableFaultError: the text of the fault does not occur exactly once, or Python does not import the copy.
    """
    shutil.copytree(ROOT / "src", folder / "src")
    file = folder / fault.file
    code = file.read_text() if file.is_file() else ""
    if code.count(fault.text) != 1:
        raise UnusableFaultError(f"The text of the fault occurs {code.count(fault.text)} times in {fault.file}.")
    file.write_text(code.replace(fault.text, fault.replacement))
    for cached in (file.parent / "__pycache__").glob(f"{file.stem}.*.pyc"):
        cached.unlink()
    environment = os.environ | {
        "PYTHONPATH": str(folder / "src"),
        "HYPOTHESIS_STORAGE_DIRECTORY": str(folder / "hypothesis"),
    }
    command = [sys.executable, "-P", "-c", "import ponant; print(ponant.__file__)"]
    imported = subprocess.run(command, env=environment, capture_output=True, text=True, check=False).stdout.strip()
    if imported != str(folder / "src" / "ponant" / "__init__.py"):
        raise UnusableFaultError(f"Python imports {imported or 'nothing'}, not the copy with the fault.")
    return environment


async def _pytest(tests: Sequence[str], environment: dict[str, str], seconds: float) -> tuple[int | None, str]:
    """Run tests, by default the daily suite, up to the first failure; return the exit code and the output.

    Raises:
        TimeoutError: the tests exceeded the timeout.
    """
    command = [sys.executable, "-m", "pytest", "-x", "-q", "-p", "no:cacheprovider", *tests]
    with tempfile.TemporaryFile("w+") as printed:
        async with asyncio.timeout(seconds), _started(command, environment, printed) as process:
            status = await process.wait()
        printed.seek(0)
        return status, printed.read()


@contextlib.asynccontextmanager
async def _started(
    command: Sequence[str], environment: dict[str, str], output: IO[str]
) -> AsyncIterator[asyncio.subprocess.Process]:
    """Run a process in a group of its own; kill the group at the end, with servers left by failed tests."""
    process = await asyncio.create_subprocess_exec(
        *command,
        cwd=ROOT,
        env=environment,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=output,
        stderr=asyncio.subprocess.STDOUT,
        start_new_session=True,
    )
    try:
        yield process
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        await process.wait()


def _report(faults: Sequence[Fault], outcomes: dict[str, Outcome]) -> None:
    """Print the output of uncaught faults and a table of all."""
    for outcome in outcomes.values():
        if outcome.verdict != "caught":
            print(f"\n--- {outcome.name}: {outcome.verdict}")
            print("\n".join(outcome.output.splitlines()[-_LINES_SHOWN:]))
    print()
    for fault in faults:
        print(f"{outcomes[fault.name].verdict:10}  {fault.name:31}  {fault.breaks}")
    caught = sum(outcome.verdict == "caught" for outcome in outcomes.values())
    print(f"\n{caught} of {len(outcomes)} faults caught")


if __name__ == "__main__":
    main()
