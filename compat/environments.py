"""The clients, each pinned in a folder of its own, and their environments."""

import json
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Literal

HERE = Path(__file__).parent
ENVIRONMENTS = HERE.parent / ".venv-compat"
CONSTRAINTS = HERE / "constraints.txt"
"""Pinned versions of the Python clients' dependencies, except of clients that have a file of this name."""
LONGEST_SECONDS = 1800
"""Limit of one command in seconds: the set-up of an environment, or all tests of one client."""

Language = Literal["python", "javascript", "java"]
_PINS: dict[Language, str] = {"python": "requirements.txt", "javascript": "package.json", "java": "jdk.txt"}
_EXAMPLES: dict[Language, str] = {"python": "example.py", "javascript": "example.mjs", "java": "Example.java"}
_PROGRAMS: dict[Language, tuple[str, ...]] = {"python": (), "javascript": ("node", "npm"), "java": ("java", "javac")}
_NEEDED: dict[Language, str] = {
    "javascript": "Node and npm are not installed (Node 20 or newer is needed)",
    "java": "Java is not installed (a JDK, 17 or newer, is needed)",
}


class CommandError(Exception):
    """A command failed. The message is its output."""


@dataclass(frozen=True)
class Client:
    """A client package: its pins, its tests and an example, all in ``folder``."""

    folder: Path

    @property
    def name(self) -> str:
        """Name on the command line."""
        return self.folder.name

    @cached_property
    def language(self) -> Language:
        """Language of the client, by the file with its pins."""
        return next(language for language, pins in _PINS.items() if (self.folder / pins).exists())

    @property
    def example(self) -> Path:
        """A short program that uses the client."""
        return self.folder / _EXAMPLES[self.language]

    @property
    def package(self) -> str:
        """Name in the package registry."""
        return self._first_pin[0].partition("[")[0]

    @property
    def version(self) -> str:
        """Tested version; that of the lowest JDK for a client that comes with it."""
        return self._first_pin[1]

    @property
    def missing(self) -> str | None:
        """Missing program of this machine, None if the client can run."""
        if all(shutil.which(program) for program in _PROGRAMS[self.language]):
            return None
        return _NEEDED[self.language]

    def set_up(self) -> None:
        """Install the client, unless exactly these versions are installed.

        Raises:
            CommandError: the installation failed.
        """
        stamp = self.environment / ".ready"
        wanted = f"{sys.version}\n{self._pins.read_text()}{self.more_pins.read_text() if self.more_pins else ''}"
        if not stamp.exists() or stamp.read_text() != wanted:
            shutil.rmtree(self.environment, ignore_errors=True)
            self.environment.mkdir(parents=True)
            if self.language == "python":
                run([sys.executable, "-m", "venv", str(self.environment)], self.environment)
                pins = ["--requirement", str(self._pins), "--constraint", str(self.more_pins)]
                run([*self._python, "-m", "pip", "install", *pins], self.environment)
            elif self.language == "javascript":
                assert self.more_pins
                shutil.copy(self._pins, self.environment)
                shutil.copy(self.more_pins, self.environment)
                run(["npm", "ci", "--no-audit", "--no-fund"], self.environment)
            stamp.write_text(wanted)

    def run_tests(self, url: str, model: Path, report: Path) -> str:
        """Run the tests against the server and return their output.

        Args:
            url: address of the server.
            model: file of its model, for clients that need its tokenizer.
            report: the JUnit report to write.
        """
        if self.language == "python":
            options = [
                "-c",
                os.devnull,
                "--strict-markers",
                "-p",
                "no:cacheprovider",
                "-W",
                "ignore",
                "-o",
                "asyncio_mode=auto",
                "--tb=short",
                "-rfE",
                "-o",
                "junit_family=xunit1",
            ]
            command = [*self._python, "-m", "pytest", *options, f"--junitxml={report}", str(self._tests)]
        elif self.language == "java":
            command = ["java", str(self._tests / "ClientTest.java"), str(report)]
        else:
            tests = shutil.copy(self._tests / "client.test.mjs", self.environment)
            options = [
                f"--test-reporter-destination={report}",
                "--test-reporter=spec",
                "--test-reporter-destination=stdout",
            ]
            command = ["node", "--test", "--test-reporter=junit", *options, str(tests)]
        return self._run(command, check=False, PONANT_URL=url, PONANT_MODEL=str(model))

    def run_example(self, url: str) -> str:
        """Run the example against the server and return its output.

        Raises:
            CommandError: the example failed.
        """
        text = self.example.read_text().replace("http://127.0.0.1:8000", url)
        program = self.environment / self.example.name
        program.write_text(text)
        runners = {"python": self._python, "javascript": ["node"], "java": ["java"]}
        return self._run([*runners[self.language], str(program)])

    @property
    def _tests(self) -> Path:
        """Folder of the tests. An older version of a client shares those of the current one."""
        has_tests = any(self.folder.glob("*[Tt]est*"))
        return self.folder if has_tests else self.folder.with_name(self.name.rpartition("-")[0])

    def _run(self, command: list[str], *, check: bool = True, **variables: str) -> str:
        """Run a command with a home folder of its own, apart from the user's."""
        home = str(self.environment)
        return run(command, self.environment, check=check, HOME=home, XDG_CONFIG_HOME=f"{home}/config", **variables)

    @property
    def environment(self) -> Path:
        """Folder of the installed packages."""
        return ENVIRONMENTS / self.name

    @property
    def _python(self) -> list[str]:
        return [str(self.environment / "bin" / "python")]

    @property
    def _pins(self) -> Path:
        return self.folder / _PINS[self.language]

    @property
    def more_pins(self) -> Path | None:
        """Pins of the client's dependencies; None if it has none."""
        if self.language == "java":
            return None
        own = self.folder / (CONSTRAINTS.name if self.language == "python" else "package-lock.json")
        return own if own.exists() else CONSTRAINTS

    @cached_property
    def _first_pin(self) -> tuple[str, str]:
        if self.language != "javascript":
            name, _, version = self._pins.read_text().splitlines()[0].partition("==")
            return name, version
        name, version = next(iter(json.loads(self._pins.read_text())["dependencies"].items()))
        return str(name), str(version)


def all_clients() -> list[Client]:
    """Return the clients in the order of the page."""
    order = (HERE / "clients.txt").read_text().split()
    return [Client(HERE / name) for name in order]


def run(command: list[str], folder: Path, *, check: bool = True, **variables: str) -> str:
    """Run a command in a folder and return its output, with standard error.

    Variables with keys and addresses are removed from its environment.

    Raises:
        CommandError: the command failed and ``check`` is set.
    """
    private = ("PONANT_", "MISTRAL_", "OPENAI_", "PYTHON", "LLM_", "PIP_REQUIRE")
    environment = {name: value for name, value in os.environ.items() if not name.startswith(private)}
    result = subprocess.run(
        command,
        cwd=folder,
        env=environment | {"PYTHONDONTWRITEBYTECODE": "1", "HF_HUB_OFFLINE": "1"} | variables,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
        timeout=LONGEST_SECONDS,
    )
    if check and result.returncode:
        raise CommandError(f"{' '.join(command)}\n{result.stdout}")
    return result.stdout
