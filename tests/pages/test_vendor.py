"""Fetching of the pages' libraries, with a program in place of npm."""

import base64
import hashlib
import io
import json
import os
import subprocess
import sys
import tarfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from ponant.pages import vendor

NPM = """#!/bin/sh
echo "$@" >> "{calls}"
test -f "{failure}" && {{ echo; cat "{failure}"; }} >&2 && exit 1
while [ "$1" != --pack-destination ]; do shift; done
cp "{registry}"/*.tgz "$2"
"""


@dataclass
class Npm:
    """Program ``npm`` of a test, with its registry.

    Attributes:
        folder: folder of the program and of its files.
        into: folder for the libraries.
    """

    folder: Path
    into: Path

    @property
    def calls(self) -> list[str]:
        """Command lines of all calls."""
        file = self.folder / "calls"
        return file.read_text().splitlines() if file.exists() else []

    def publish(self, content: str) -> str:
        """Put the one package into the registry, and return its hash."""
        archive = self.folder / "registry" / "example-1.0.0.tgz"
        with tarfile.open(archive, "w:gz") as package:
            for name, text in {"dist/example.js": content, "LICENSE": "MIT", "package.json": "{}"}.items():
                entry = tarfile.TarInfo(f"package/{name}")
                entry.size = len(text)
                package.addfile(entry, io.BytesIO(text.encode()))
        return "sha512-" + base64.b64encode(hashlib.sha512(archive.read_bytes()).digest()).decode()

    def fail(self, reason: str) -> None:
        """Make the program fail."""
        (self.folder / "failure").write_text(f"{reason}\n")


@pytest.fixture
def npm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Npm:
    """Program in place of npm, and a list of one library."""
    npm = Npm(tmp_path, tmp_path / "vendor")
    (tmp_path / "registry").mkdir()
    program = tmp_path / "npm"
    names = {"calls": tmp_path / "calls", "failure": tmp_path / "failure", "registry": tmp_path / "registry"}
    program.write_text(NPM.format(**names))
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setattr(vendor, "MANIFEST", tmp_path / "vendor.json")
    entry = {"package": "example", "version": "1.0.0", "integrity": npm.publish("first"), "licence": "MIT"}
    files = {"dist/example.js": "example.js", "LICENSE": "licences/example.txt"}
    (tmp_path / "vendor.json").write_text(json.dumps([{**entry, "group": "pages", "files": files}]))
    return npm


@pytest.fixture
def run(npm: Npm, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Callable[[], tuple[int, str]]:
    """Function that runs the program, and returns its exit status and what it printed."""

    def run() -> tuple[int, str]:
        monkeypatch.setattr(sys, "argv", ["vendor.py", "--into", str(npm.into)])
        return vendor.main(), capsys.readouterr().err

    return run


def test_named_files_are_taken_without_scripts(npm: Npm, run: Callable[[], tuple[int, str]]) -> None:
    assert run() == (0, "")
    files = {str(path.relative_to(npm.into)) for path in npm.into.rglob("*") if path.is_file()}
    assert files == {"example.js", "licences/example.txt", "manifest.sha256"}
    assert (npm.into / "example.js").read_text() == "first"
    (call,) = npm.calls
    assert call.startswith("pack --ignore-scripts ")
    assert call.endswith(" example@1.0.0")


def test_libraries_are_fetched_again_only_when_they_are_missing_or_others(
    npm: Npm, run: Callable[[], tuple[int, str]]
) -> None:
    run()
    assert run() == (0, "")
    assert len(npm.calls) == 1
    (npm.into / "example.js").unlink()
    assert run() == (0, "")
    assert len(npm.calls) == 2
    listed = json.loads(vendor.MANIFEST.read_text())
    listed[0]["integrity"] = npm.publish("second")
    vendor.MANIFEST.write_text(json.dumps(listed))
    assert run() == (0, "")
    assert (npm.into / "example.js").read_text() == "second"


def test_wrong_archive_is_refused_and_leaves_the_folder(npm: Npm, run: Callable[[], tuple[int, str]]) -> None:
    run()
    (npm.into / "example.js").unlink()
    npm.publish("manipulated")
    status, printed = run()
    assert status == 1
    assert printed.count("\n") == 1
    assert "the archive of example 1.0.0 does not have the expected SHA-512" in printed
    assert not (npm.into / "example.js").exists()
    assert (npm.into / "licences" / "example.txt").exists()


def test_failure_of_npm_is_one_line(npm: Npm, run: Callable[[], tuple[int, str]]) -> None:
    npm.fail("npm error network is unreachable")
    status, printed = run()
    assert (status, printed.count("\n")) == (1, 1)
    assert "npm error network is unreachable" in printed
    assert not npm.into.exists()


def test_other_files_are_not_deleted(npm: Npm, run: Callable[[], tuple[int, str]]) -> None:
    npm.into.mkdir()
    (npm.into / "thesis.txt").write_text("")
    status, printed = run()
    assert status == 1
    assert "has other files" in printed
    assert (npm.into / "thesis.txt").exists()


def test_program_needs_only_python(tmp_path: Path) -> None:
    program = str(Path(vendor.__file__))
    done = subprocess.run([sys.executable, "-S", "-I", program, "--help"], capture_output=True, text=True, check=True)
    assert "JavaScript libraries" in done.stdout
