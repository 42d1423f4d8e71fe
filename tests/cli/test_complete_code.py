"""The command `ponant complete-code`: its requests, its output and its errors."""

import json
import os
import subprocess
from pathlib import Path
from typing import Any

import pexpect
import pytest
from click.testing import CliRunner, Result

from ponant.cli.main import main
from tests.client.misbehaving import CHUNK, DONE, Behaviour, Server, event, misbehaving, respond, stream
from tests.in_process import ScriptedServer
from tests.serving import EXACT, RunningServer, environment, ponant

CODE = "def area(width, height):\n    return  * height\n\n\nprint(area(2, 3))\n"
OPTIONS = ["--temperature", "0", "--max-tokens", "8"]


@pytest.fixture
def code(tmp_path: Path) -> Path:
    """File with a gap."""
    file = tmp_path / "area.py"
    file.write_text(CODE)
    return file


def complete(*arguments: str, url: str | None = None) -> Result:
    """Run `ponant complete-code` in this process."""
    clean = {name: None for name in os.environ if name.startswith("PONANT_")}
    return CliRunner(env=clean | {"PONANT_URL": url}).invoke(main, ["complete-code", *arguments])


def complete_by_itself(*arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    """Run `ponant complete-code` in a process of its own."""
    return subprocess.run(
        ponant("complete-code", *arguments),
        capture_output=True,
        check=False,
        text=True,
        env=environment(**variables),
        timeout=120,
    )


def filling(*pieces: str, finish_reason: str = "stop") -> Behaviour:
    """Return a server behaviour that streams these pieces."""
    deltas: list[tuple[str, str | None]] = [*((piece, None) for piece in pieces), ("", finish_reason)]
    choices = [{"index": 0, "delta": {"content": text}, "finish_reason": reason} for text, reason in deltas]
    return stream(*(event(CHUNK | {"choices": [choice]}) for choice in choices), DONE)


def asked(server: Server) -> dict[str, Any]:
    """Return the last request."""
    head, _, body = server.requests[-1].partition(b"\r\n\r\n")
    assert head.startswith(b"POST /v1/fim/completions ")
    request: dict[str, Any] = json.loads(body)
    return request


# Requests


@pytest.mark.parametrize(
    ("text", "line", "column", "prompt", "suffix"),
    [
        ("a\nb\nc\n", 2, None, "a\n", "\nc\n"),
        ("a\n\nc\n", 2, None, "a\n", "\nc\n"),
        ("a\nb\n", 1, None, "", "\nb\n"),
        ("a\nb", 2, None, "a\n", ""),
        ("a\nb\n", 3, None, "a\nb\n", ""),
        ("", 1, None, "", ""),
        ("a\nbcd\ne", 2, 1, "a\n", "bcd\ne"),
        ("a\nbcd\ne", 2, 3, "a\nbc", "d\ne"),
        ("a\nbcd\ne", 2, 4, "a\nbcd", "\ne"),
        ("a\r\nbcd\r\ne", 2, 4, "a\r\nbcd", "\r\ne"),
        ("a\r\nbcd\r\ne", 2, None, "a\r\n", "\r\ne"),
        ("a\x0c\u2028\nbé", 2, 3, "a\x0c\u2028\nbé", ""),
        ("\ufeffab", 1, 2, "a", "b"),
    ],
)
def test_what_is_before_and_after_the_place_is_sent(
    tmp_path: Path, text: str, line: int, column: int | None, prompt: str, suffix: str
) -> None:
    file = tmp_path / "a:b.txt"
    file.write_bytes(text.encode())
    with misbehaving(filling("x")) as server:
        result = complete(f"{file}:{line}", *(["--column", str(column)] if column else []), url=server.url)
    assert (result.exit_code, result.stderr) == (0, "")
    assert asked(server) == {"model": None, "prompt": prompt, "suffix": suffix, "max_tokens": 256, "stream": True}
    assert file.read_bytes() == text.encode()


def test_options_are_the_requests(code: Path) -> None:
    options = ["--model", "m", "--max-tokens", "9", "--temperature", "0.5", "--stop", "\n", "--stop", "#"]
    with misbehaving(filling("x")) as server:
        complete(f"{code}:2", *options, "--url", server.url)
    fields = {name: value for name, value in asked(server).items() if name not in ("prompt", "suffix")}
    assert fields == {"model": "m", "max_tokens": 9, "temperature": 0.5, "stop": ["\n", "#"], "stream": True}


# Output


@pytest.mark.parametrize("pieces", [["width"], ["", "    ret", "urn 1", "\n\n"], []])
def test_the_filling_goes_into_a_pipe_as_it_is(code: Path, pieces: list[str]) -> None:
    with misbehaving(filling(*pieces)) as server:
        result = complete(f"{code}:2", url=server.url)
    assert (result.exit_code, result.stdout, result.stderr) == (0, "".join(pieces), "")


@pytest.mark.parametrize("piece", ["width", "width\n"])
def test_in_a_terminal_it_ends_its_line(code: Path, piece: str) -> None:
    with misbehaving(filling(piece)) as server:
        command, *rest = ponant("complete-code", f"{code}:2", "--server-url", server.url)
        terminal: Any = pexpect.spawn(command, rest, env=environment(TERM="dumb"), encoding="utf-8", timeout=30)
        terminal.expect(pexpect.EOF)
        assert terminal.before == "width\r\n"
        terminal.close()


def test_a_filling_that_is_cut_off_is_told(code: Path) -> None:
    with misbehaving(filling("wid", finish_reason="length")) as server:
        result = complete(f"{code}:2", "--max-tokens", "1", url=server.url)
    assert (result.exit_code, result.stdout) == (0, "wid")
    assert result.stderr == "ponant: the completion ends after 1 tokens; see --max-tokens\n"


def test_the_gap_of_a_real_file_is_filled(code: Path, scripted_server: ScriptedServer) -> None:
    code.write_text("def area(width, height):\n    return  * height\n")
    scripted_server.engine.play("wid", "th * height\n```")
    result = complete_by_itself(f"{code}:2", "--column", "12", "--max-tokens", "30", PONANT_URL=scripted_server.url)
    assert (result.returncode, result.stdout, result.stderr) == (0, "width", "")


def test_without_a_server_the_model_runs_in_process(code: Path, tiny_model: Path, tiny_server: RunningServer) -> None:
    end = f"{code}:6"  # without a suffix the model generates text
    alone = complete_by_itself(end, "--model", str(tiny_model), *OPTIONS, PONANT_THREADS="1", **EXACT)
    served = complete(end, *OPTIONS, url=tiny_server.url)
    assert (alone.returncode, served.exit_code) == (0, 0)
    assert alone.stdout
    assert alone.stdout == served.stdout


# Errors


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["area.py"], "area.py is not of the form FILE:LINE, such as main.py:12"),
        (["area.py:"], "is not of the form FILE:LINE"),
        ([":2"], "is not of the form FILE:LINE"),
        (["area.py:two"], "is not of the form FILE:LINE"),
        (["area.py:-2"], "is not of the form FILE:LINE"),
        (["missing.py:2"], "cannot read missing.py: No such file or directory"),
        (["folder:2"], "cannot read folder: Is a directory"),
        (["picture.png:1"], "picture.png is not UTF-8 text"),
        (["area.py:0"], "area.py has no line 0; its lines are 1 to 6"),
        (["area.py:7"], "area.py has no line 7; its lines are 1 to 6"),
        (["area.py:2", "--column", "22"], "line 2 of area.py has no column 22; the last column is 21"),
    ],
)
def test_a_place_that_there_is_not_is_told_before_a_model_is_asked(
    code: Path, monkeypatch: pytest.MonkeyPatch, arguments: list[str], said: str
) -> None:
    (code.parent / "folder").mkdir()
    (code.parent / "picture.png").write_bytes(b"\x89PNG\r\n")
    monkeypatch.chdir(code.parent)
    result = complete(*arguments, url="http://127.0.0.1:9")
    (line,) = result.stderr.splitlines()
    assert line.startswith("ponant: ")
    assert said in line
    assert (result.exit_code, result.stdout) == (2, "")


@pytest.mark.parametrize(
    ("arguments", "said", "code_of_exit"),
    [
        (["--model", "no-such-model"], "Invalid model: no-such-model", 1),
        (["--temperature", "9"], "temperature", 1),
        (["--max-tokens", "100000"], "too large", 1),
        (["--server-url", "http://127.0.0.1:9"], "Cannot connect to http://127.0.0.1:9", 1),
        (["--server-url", "nowhere"], "server_url", 2),
    ],
)
def test_what_the_server_refuses_is_told(
    code: Path, tiny_server: RunningServer, arguments: list[str], said: str, code_of_exit: int
) -> None:
    result = complete(f"{code}:2", *arguments, url=tiny_server.url)
    (line,) = result.stderr.splitlines()
    assert line.startswith("ponant: ")
    assert said in line
    assert (result.exit_code, result.stdout) == (code_of_exit, "")


def test_a_server_that_fails_is_told(code: Path) -> None:
    error = {"object": "error", "message": "No room.", "type": "rate_limited", "param": None, "code": "1300"}
    with misbehaving(respond(429, error)) as server:
        result = complete(f"{code}:2", url=server.url)
    assert (result.exit_code, result.stdout) == (1, "")
    assert "No room" in result.stderr
