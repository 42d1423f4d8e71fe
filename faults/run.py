"""Run tests with each seeded fault in turn and report the faults that no test catches.

A fault is put into a copy of `src`, which comes first on PYTHONPATH: the working tree stays as it is. The tests must
pass without faults, which `make test` shows.
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
"""Seconds that the named tests of a fault may take."""
_WHOLE_SECONDS = 3600
"""Seconds that the daily suite may take."""
_LINES_SHOWN = 30

Verdict = Literal["caught", "NOT CAUGHT", "BROKEN"]
_VERDICTS: dict[int | None, Verdict] = {0: "NOT CAUGHT", 1: "caught"}
"""Verdicts by pytest's exit code. Any other code says that the tests did not run as they should."""
_FAILURE = re.compile(r"^(?:FAILED|ERROR) (.+?)(?: - |$)", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Outcome:
    """The result of the tests with one fault. ``output`` is what they printed, or why they could not run."""

    name: str
    verdict: Verdict
    seconds: float
    output: str

    @property
    def failure(self) -> str:
        """The first test that failed, if any."""
        found = _FAILURE.search(self.output)
        return found[1] if found else ""


class UnusableFaultError(Exception):
    """The fault cannot be put into the code."""


def main() -> None:
    """Run the faults that the command line names, or all of them. Exit with 1 unless all are caught."""
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
    """Run the faults, `_AT_ONCE` at a time, and print each outcome as it comes. Returns the outcomes by name."""
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
    """Put a fault into a copy of the code; return the environment in which Python imports that copy.

    Raises:
        UnusableFaultError: the text of the fault does not occur exactly once, or the copy is not imported.
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
    """Run tests, or the daily suite if none are given, up to the first failure. Returns the exit code and the output.

    Raises:
        TimeoutError: they took longer than so many seconds.
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
    """A process in a group of its own. The group is killed in the end, with the servers that failed tests may leave."""
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
    """Print the output of the faults that were not caught, and the table of all."""
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
