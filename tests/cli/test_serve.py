"""The command `ponant serve`: its output, its sources of settings and its error messages."""

import contextlib
import os
import re
import shutil
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

import ponant as package
from ponant.cli.main import main
from tests.chatting import answer
from tests.missing import skip_or_fail
from tests.serving import EXACT, ServerProcess, environment, ponant, serving

FLAGS = {
    "--host",
    "--port",
    "--config",
    "--data-dir",
    "--context",
    "--kv-memory",
    "--parallel",
    "--threads",
    "--prepare-weights",
    "--alias",
    "--api-key",
    "--no-auth",
    "--help",
}


def run(*arguments: str, cwd: Path | None = None, **settings: str) -> subprocess.CompletedProcess[str]:
    """Run a command that exits by itself."""
    return subprocess.run(
        ponant(*arguments),
        capture_output=True,
        check=False,
        text=True,
        env=environment(**settings),
        cwd=cwd,
        timeout=60,
    )


def run_here(*arguments: str) -> Result:
    """Run a command in this process."""
    return CliRunner().invoke(main, arguments, prog_name="ponant")


def refusal(cwd: Path, *arguments: str, **settings: str) -> str:
    """Return the error line of `ponant serve`, run in this process, for a mistake that the user can fix."""
    clean: dict[str, str | None] = {name: None for name in os.environ if name.startswith("PONANT_")}
    with contextlib.chdir(cwd):
        result = CliRunner(env=clean | settings).invoke(main, ["serve", "--port", "0", *arguments])
    assert result.exit_code == 2, result.output
    assert "Listening" not in result.stdout
    (line,) = result.stderr.splitlines()
    assert line.startswith("ponant: ")
    return line


# Help


def test_help_tells_what_there_is() -> None:
    result = run("--help")
    assert result.returncode == 0
    assert "serve" in result.stdout
    assert "Mistral API" in result.stdout
    assert run("-h").stdout == result.stdout


def test_help_of_serve_names_every_flag_and_kind_of_model() -> None:
    result = run_here("serve", "--help")
    assert result.exit_code == 0
    assert set(re.findall(r"--[a-z-]+", result.stdout)) >= FLAGS
    for word in ("smollm2", ".gguf", "hf:org/repo[:file|:quant]", "PONANT_", "ponant.toml", "NAME=MODEL"):
        assert word in result.stdout
    assert max(map(len, result.stdout.splitlines())) <= 100


def test_version_is_the_packages() -> None:
    result = run("--version")
    assert result.returncode == 0
    assert package.__version__ in result.stdout


@pytest.mark.parametrize(
    "arguments", [["--colour", "blue"], ["--port", "http"], ["--alias", "name"], ["--alias", "=m"]]
)
def test_mistyped_flags_are_told_with_a_pointer_to_the_help(arguments: list[str]) -> None:
    result = run_here("serve", *arguments)
    assert result.exit_code == 2
    assert "ponant serve --help" in result.stderr
    assert arguments[0] in result.stderr


# Errors


def test_missing_file_is_told_with_its_name(tmp_path: Path) -> None:
    assert "no/such.gguf" in refusal(tmp_path, "no/such.gguf")
    result = run("serve", "--port", "0", "no/such.gguf", cwd=tmp_path)
    assert result.returncode == 2
    assert "Listening" not in result.stdout
    assert result.stderr.startswith("ponant: ")
    assert "hf:org/repo" in refusal(tmp_path, "hf:nowhere")


def test_files_that_are_no_model_are_told_apart(tmp_path: Path, tiny_model: Path) -> None:
    text, cut, folder = (tmp_path / name for name in ("text.gguf", "cut.gguf", "folder.gguf"))
    text.write_text("GGUF is what this is not.")
    cut.write_bytes(tiny_model.read_bytes()[:-1000])
    folder.mkdir()
    for path, reason in ((text, "GGUF"), (cut, "cannot load"), (folder, "no model file")):
        line = refusal(tmp_path, str(path))
        assert str(path) in line
        assert reason in line


def test_two_models_of_one_name_are_refused(tmp_path: Path, tiny_model: Path) -> None:
    other = tmp_path / tiny_model.name
    other.write_bytes(tiny_model.read_bytes())
    assert "two models have the id tiny" in refusal(tmp_path, str(tiny_model), str(other))


def test_busy_port_is_told(tmp_path: Path, tiny_model: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as busy:
        port = str(busy.getsockname()[1])
        line = refusal(tmp_path, str(tiny_model), "--port", port)
    assert port in line
    assert "--port" in line


def test_unknown_host_is_told(tmp_path: Path, tiny_model: Path) -> None:
    assert "nowhere.invalid" in refusal(tmp_path, str(tiny_model), "--host", "nowhere.invalid", "--no-auth")


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        (["--context", "513"], "513"),
        (["--kv-memory", "1KB"], "context of 128"),
        (["--kv-memory", "100KB", "--context", "400"], "context of 400"),
        (["--kv-memory", "500TB"], "too little memory"),
        (["--parallel", "0"], "parallel"),
        (["--alias", "name=other-model"], "other-model"),
    ],
)
def test_what_cannot_be_had_is_told_with_the_reason(
    tmp_path: Path, tiny_model: Path, flags: list[str], said: str
) -> None:
    assert said in refusal(tmp_path, str(tiny_model), *flags)


def test_bad_settings_of_files_and_the_environment_are_told(tmp_path: Path) -> None:
    file = tmp_path / "settings.toml"
    file.write_bytes(b"port = = 1")
    assert "settings.toml" in refusal(tmp_path, "--config", str(file))
    assert "no-such.toml" in refusal(tmp_path, PONANT_CONFIG="no-such.toml")


# Settings


def test_flags_win_over_the_environment_and_that_over_the_file(tmp_path: Path, tiny_model: Path) -> None:
    in_folder, elsewhere = tmp_path / "ponant.toml", tmp_path / "other.toml"
    in_folder.write_text("parallel = 3\ncontext = 303\nthreads = 3")
    elsewhere.write_text("parallel = 4\ncontext = 404\nthreads = 1")

    def start(*flags: str, **variables: str) -> str:
        with serving(str(tiny_model), *flags, cwd=tmp_path, **EXACT, **variables) as server:
            return server.printed

    printed = start("--parallel", "7", PONANT_PARALLEL="5", PONANT_CONTEXT="505")
    assert "context 505" in printed
    assert "7 sequences" in printed
    assert "3 threads" in printed
    printed = start("--config", str(elsewhere), PONANT_PARALLEL="5")
    assert "context 404" in printed
    assert "5 sequences" in printed


@pytest.fixture(scope="module")
def server(tiny_model: Path) -> Iterator[ServerProcess]:
    """Server with aliases, and limits of its own."""
    aliases = ["--alias", "house=tiny", "--alias", f"garden={tiny_model}"]
    sizes = ["--context", "256", "--kv-memory", "1MiB", "--parallel", "4", "--threads", "1"]
    with serving(str(tiny_model), *aliases, *sizes, **EXACT) as server:
        yield server


def test_alias_is_a_name_for_requests_and_shown_with_the_model(server: ServerProcess) -> None:
    assert answer(server, model="house")["model"] == "house"
    assert answer(server, model="garden")["model"] == "garden"
    with server.client() as client:
        card, *_ = client.get("/v1/models").json()["data"]
        assert client.get("/v1/models/house").json() == card
    assert card["id"] == "tiny"
    assert card["aliases"] == ["garden", "house"]


# Output


def test_start_tells_what_the_model_can_hold_and_where_it_listens(server: ServerProcess) -> None:
    with server.client() as client:
        card, *_ = client.get("/v1/models").json()["data"]
    assert card["max_context_length"] == 256
    for said in ("tiny", "context 256 tokens", "KV cache 2048 tokens (1 MB)", "4 sequences", "1 threads", server.url):
        assert said in server.printed


@pytest.mark.parametrize("key", [None, "a key"])
def test_printed_curl_line_works_when_pasted(tmp_path: Path, tiny_model: Path, key: str | None) -> None:
    if not shutil.which("curl"):
        skip_or_fail("curl is not installed")
    model = tmp_path / "it's $tiny.gguf"
    shutil.copy(tiny_model, model)
    flags = ["--api-key", key] if key else []
    with serving(str(model), *flags, **EXACT) as server:
        command = server.printed.partition("Try:\n")[2]
        assert len(command.strip().splitlines()) == 1
        result = subprocess.run(
            ["bash", "-c", command],
            capture_output=True,
            check=False,
            text=True,
            env=environment(PONANT_API_KEY=key or ""),
            timeout=60,
        )
    assert result.returncode == 0
    assert '"chat.completion"' in result.stdout, result.stdout
    assert "it's $tiny" in result.stdout
    assert key is None or key not in server.printed
