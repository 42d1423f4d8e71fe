"""Programs of each form, and the processes that run them."""

import contextlib
import json
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from compat.environments import HERE as COMPAT
from compat.environments import Client, CommandError
from ponant.samples.samples import FORMS as ALL_FORMS
from samples_run.tape import Tape
from tests.missing import skip_or_fail

ROOT = Path(__file__).parents[1]
RUNNERS = Path(__file__).parent / "runners"
PYTHON_1 = ROOT / ".venv-mistralai1" / "bin" / "python"
"""Interpreter with the first version of Mistral's client."""
NPM_1 = Path(__file__).parent / "mistralai-node-1"
"""Pins of the first version of the client from npm."""


FORMS = [form.name for form in ALL_FORMS if form.name not in ("swift", "python-openai")]
"""Forms of all requests. Programs in Swift need a compiler that few machines have."""


CLIENTS = ("python-mistralai", "python-ponant", "javascript-mistralai")
"""Forms that use a client of the API."""

_ALONE = {
    "shell": ("bash", "-eu"),
    "python-mistralai": (sys.executable,),
    "python-ponant": (sys.executable,),
    "javascript-fetch": ("node",),
    "javascript-mistralai": ("node",),
    "java": ("java",),
}
"""Commands that run a program in a process of its own."""
_SUFFIXES = {"shell": "sh", "python": "py", "javascript": "mjs", "swift": "swift"}


class ProgramError(Exception):
    """A program failed. The message is its output."""


class Runner(Protocol):
    """Runs programs in a folder, one after the other."""

    def run(self, program: Path, output: Path) -> None:
        """Run a program, with its standard output in a file. Raises ProgramError."""


@dataclass
class CommandRunner:
    """Runs programs, each in a process of an interpreter."""

    interpreter: tuple[str, ...]
    folder: Path
    variables: dict[str, str]

    def run(self, program: Path, output: Path) -> None:
        """Run a program."""
        with output.open("wb") as out:
            command = [*self.interpreter, str(program)]
            done = subprocess.run(
                command, cwd=self.folder, env=self.variables, stdout=out, stderr=subprocess.PIPE, text=True, check=False
            )
        if done.returncode:
            raise ProgramError(done.stderr)


@dataclass
class ProcessRunner:
    """Runs programs in one process, which is started with the first one."""

    process: subprocess.Popen[str]
    reads_json: bool = True

    def run(self, program: Path, output: Path) -> None:
        """Run a program."""
        task = f"{program}\t{output}"
        if self.reads_json:
            task = json.dumps({"program": str(program), "output": str(output)})
        requests, replies = self.process.stdin, self.process.stdout
        assert requests and replies
        requests.write(f"{task}\n")
        requests.flush()
        reply = replies.readline()
        if not reply:
            raise ProgramError(f"{self.process.args!r} has ended")
        error = json.loads(reply)["error"] if self.reads_json else reply.removeprefix("done ").strip()
        if error:
            raise ProgramError(error)


@contextlib.contextmanager
def process_runner(
    command: list[str], folder: Path, variables: dict[str, str], *, reads_json: bool = True
) -> Iterator[Runner]:
    """Yield the runner of a command, which reads its tasks from standard input until that is closed."""
    with subprocess.Popen(
        command, cwd=folder, env=variables, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        yield ProcessRunner(process, reads_json)


@dataclass
class Programs:
    """Runners of all forms. Each is started when it is first used.

    Attributes:
        folder: folder in which the programs run, with the file that they upload.
        variables: their environment.
        stack: ends the runners.
        tape: records their requests.
    """

    folder: Path
    variables: dict[str, str]
    stack: contextlib.ExitStack
    tape: Tape

    def __post_init__(self) -> None:
        self._runners: dict[str, Runner] = {}
        self._count = 0
        self._keyless = {name: value for name, value in self.variables.items() if name != "MISTRAL_API_KEY"}

    def run(self, form: str, source: str, *, early: bool, alone: bool = False) -> str:
        """Run a program and return what it printed.

        Args:
            form: the program's form.
            source: its text.
            early: True if it needs the first version of the official clients.
            alone: True to run it in a process of its own, without a key in the environment.

        Raises:
            ProgramError: the program failed.
        """
        name = f"{form}-1" if early and form.endswith("-mistralai") else form
        if name not in self._runners:
            self._runners[name] = self._start(name)
        self._count += 1
        folder = self._folder_of(name) / str(self._count)
        folder.mkdir()
        program = folder / file_name(form, source)
        program.write_text(source)
        output = folder / "output"
        output.touch()
        runner = CommandRunner(_ALONE[form], self.folder, self._keyless) if alone else self._runners[name]
        self.tape.start(lambda: output.stat().st_size > 0)
        runner.run(program, output)
        return output.read_text()

    def _folder_of(self, name: str) -> Path:
        folder = self.folder / name
        folder.mkdir(exist_ok=True)
        return folder

    def _start(self, name: str) -> Runner:
        match name:
            case "shell":
                _need("curl")
                return CommandRunner(("bash", "-eu"), self.folder, self.variables)
            case "swift":
                return CommandRunner(("swift", "-warnings-as-errors"), self.folder, self.variables)
            case "python-mistralai-1":
                if not PYTHON_1.exists():
                    skip_or_fail(f"{PYTHON_1.parents[1].name} is missing (make samples makes it)")
                return self._process([str(PYTHON_1), str(RUNNERS / "run.py")])
            case "python-mistralai" | "python-ponant":
                return self._process([sys.executable, str(RUNNERS / "run.py")])
            case "python-openai":
                return self._process([str(_set_up(COMPAT / "openai") / "bin" / "python"), str(RUNNERS / "run.py")])
            case "javascript-mistralai" | "javascript-mistralai-1":
                _need("node", "npm")
                self._link_modules(name, NPM_1 if name.endswith("1") else COMPAT / "mistralai-node")
                return self._process(["node", str(RUNNERS / "run.mjs")])
            case "javascript-fetch":
                _need("node")
                return self._process(["node", str(RUNNERS / "run.mjs")])
            case _:
                _need("java", "javac")
                return self._process(["java", str(RUNNERS / "Run.java")], reads_json=False)

    def _process(self, command: list[str], *, reads_json: bool = True) -> Runner:
        return self.stack.enter_context(process_runner(command, self.folder, self.variables, reads_json=reads_json))

    def _link_modules(self, name: str, pins: Path) -> None:
        (self._folder_of(name) / "node_modules").symlink_to(_set_up(pins) / "node_modules")


def file_name(form: str, source: str) -> str:
    """Return the name of a program's file."""
    if form == "java":
        found = re.search(r"^public class (\w+)", source, re.MULTILINE)
        assert found
        return f"{found[1]}.java"
    return f"sample.{_SUFFIXES[form.partition('-')[0]]}"


def _set_up(pins: Path) -> Path:
    """Install a client and return its environment."""
    client = Client(pins)
    try:
        client.set_up()
    except CommandError as error:
        skip_or_fail(f"{client.package} cannot be installed: {error}")
    return client.environment


def _need(*names: str) -> None:
    for name in names:
        if not shutil.which(name):
            skip_or_fail(f"{name} is not installed")
