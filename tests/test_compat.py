"""The comparison of docs/compatibility.md with the results of other projects' clients; `make compat` runs those."""

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from compat.environments import HERE, Client, all_clients
from compat.page import PAGE, Page, with_results
from compat.results import Case, cells, read_report

ROOT = Path(__file__).parents[1]
TESTS = """
import pytest

@pytest.mark.by_the_model("tools: the bundled one makes none")
def test_tools_are_called():
    assert {passes}

def test_chat_is_answered():
    pass

@pytest.mark.xfail(strict=True, reason="chat: not in French")
def test_chat_in_french():
    assert False

class TestTheirs:
    @pytest.mark.by_the_model("the bundled one makes it twice")
    def test_call(self):
        assert {passes}
"""


def cases_of(tests: str, folder: Path) -> list[Case]:
    """Run tests of a client and return their cases."""
    (folder / "conftest.py").write_text((HERE / "conftest.py").read_text())
    (folder / "test_client.py").write_text(tests)
    report = folder / "report.xml"
    options = ["-c", "/dev/null", "-p", "no:cacheprovider", "-o", "junit_family=xunit1", f"--junitxml={report}"]
    subprocess.run([sys.executable, "-m", "pytest", *options, str(folder)], capture_output=True, check=False)
    return read_report(report)


@pytest.mark.parametrize("passes", [True, False])
def test_what_depends_on_the_model_is_the_same_on_the_page_whatever_it_says(tmp_path: Path, passes: bool) -> None:
    cases = cases_of(TESTS.format(passes=passes), tmp_path)
    assert [(case.group, case.name, case.outcome) for case in cases] == [
        ("", "test_tools_are_called", "by the model"),
        ("", "test_chat_is_answered", "passed"),
        ("", "test_chat_in_french", "expected to fail"),
        ("TestTheirs", "test_call", "by the model"),
    ]
    assert cells([case for case in cases if not case.group])[:3] == ["in part", "-", "by the model"]
    (client,) = [client for client in all_clients() if client.name == "langchain"]
    page = Page(with_results(PAGE.read_text(), [client], {"langchain": cases}))
    assert page.part("table").endswith("| tools: the bundled one makes none; chat: not in French |\n")
    assert "`TestTheirs`: 0 of 1 pass whatever the model says." in page.part("groups of langchain")


def test_what_fails_is_seen(tmp_path: Path) -> None:
    (case,) = cases_of("def test_chat_is_answered():\n    assert False\n", tmp_path)
    assert case.outcome == "failed"


def test_clients_that_cannot_run_here_are_told_with_an_exit_status_of_their_own(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "compat.run", "mistralai-node"]
    ended = subprocess.run(command, cwd=ROOT, env={"PATH": str(tmp_path)}, capture_output=True, text=True, check=False)
    assert ended.returncode == 3, ended.stderr
    assert "Not run: mistralai-node. Node and npm are not installed (Node 20 or newer is needed)." in ended.stdout


@pytest.mark.parametrize("client", all_clients(), ids=lambda client: client.name)
def test_versions_are_pinned(client: Client) -> None:
    if client.language == "java":
        assert re.fullmatch(r"[\w.]+==\d+\n", (client.folder / "jdk.txt").read_text())
    elif client.language == "python":
        assert client.more_pins
        pins = (client.folder / "requirements.txt").read_text() + client.more_pins.read_text()
        lines = [line for line in pins.splitlines() if not line.startswith("#")]
        assert all(re.fullmatch(r"[\w.-]+(\[\w+\])?==[\w.]+", line) for line in lines)
    else:
        locked = json.loads((client.folder / "package-lock.json").read_text())["packages"]
        wanted = json.loads((client.folder / "package.json").read_text())["dependencies"]
        assert {name: locked[f"node_modules/{name}"]["version"] for name in wanted} == wanted
        assert not any("resolved" in package for package in locked.values())
        assert "://" not in (client.folder / "package-lock.json").read_text()
