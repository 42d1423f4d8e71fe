"""The command ``ponant``: its help, output and error messages."""

import gc
import os
import re
import socket
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest
from click.testing import CliRunner

from ponant.cli.main import main
from tests.recordings.normal import normal_text
from tests.recordings.recording import Recording
from tests.serving import RunningServer

COMMANDS = ("chat", "complete-code", "export", "finetune", "inspect", "models", "pull", "rm", "serve")
NOBODY = "http://127.0.0.1:9"
"""URL without a server."""

HELP = {"ponant": [], "ponant --help": ["--help"], "ponant -h": ["-h"], "ponant --version": ["--version"]} | {
    f"ponant {command} --help": [command, "--help"] for command in COMMANDS
}

Environment = dict[str, str | None]
USAGE: list[list[str]] = [
    ["no-such-command"],
    ["--no-such-flag"],
    *([command, "--no-such-flag"] for command in COMMANDS),
    *([command] for command in ("complete-code", "export", "finetune", "inspect", "pull", "rm")),
    ["serve", "--port", "many"],
    ["serve", "--prepare-weights", "maybe"],
    ["serve", "--log-level", "loud"],
    ["serve", "--alias", "name"],
    ["chat", "Hello", "--temperature", "warm"],
    ["chat", "Hello", "--json-schema", "no-such.json"],
    ["complete-code", "code.py:1", "--column", "0"],
    ["complete-code", "code.py:1", "--max-tokens", "-1"],
    ["export", "ft:tiny:a:1:2", "--weights", "q1"],
    ["finetune", "data.jsonl", "--skip-invalid", "51"],
]

SETTINGS: list[list[str]] = [
    ["serve", "--kv-memory", "much"],
    ["serve", "--context", "0"],
    ["serve", "--parallel", "0"],
    ["serve", "--threads", "-1"],
    ["serve", "--port", "65536"],
    ["serve", "--config", "no-such.toml"],
    ["serve", "--config", "no-toml.toml"],
    ["serve", "--config", "no-utf-8.toml"],
    ["serve", "--config", "unknown-key.toml"],
    ["serve", "--config", "wrong-value.toml"],
    ["serve", "--config", "wrong-value-inside.toml"],
    ["serve", "--config", "contradiction.toml"],
    ["models", "--config", "unknown-key.toml"],
    ["inspect", "tiny", "--config", "no-such.toml"],
    ["pull", "hf:org/repo", "--config", "no-such.toml"],
    ["rm", "org/repo", "--config", "no-such.toml"],
]
FILES = {
    "no-toml.toml": b"port = = 1",
    "no-utf-8.toml": b"port = '\xff'",
    "unknown-key.toml": b"colour = 'blue'",
    "wrong-value.toml": b"parallel = 'many'",
    "wrong-value-inside.toml": b"[aliases]\nname = 1",
    "contradiction.toml": b"strict = true\ndialect = 'nim'",
    "code.py": b"def area(width, height):\n    return  * height\n",
    "picture.png": b"\x89PNG\r\n",
    "text.gguf": b"This is no model.",
    "schema.json": b"{",
    "text.txt": b"Once upon a time\n",
    "plain.jsonl": b'{"text": "Once upon a time"}\n',
    "data.jsonl": b'{"messages": [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}]}\n',
}

SERVE: list[list[str]] = [
    ["serve", "no-such.gguf"],
    ["serve", "no-such-model"],
    ["serve", "org/repo"],
    ["serve", "hf:repo"],
    ["serve", "text.gguf"],
    ["serve", "TINY", "TINY"],
    ["serve", "TINY", "--alias", "name=other-model"],
    ["serve", "TINY", "--port", "BUSY"],
    ["serve", "TINY", "--host", "0.0.0.0"],
    ["serve", "TINY", "--context", "513"],
    ["serve", "TINY", "--kv-memory", "1KB"],
    ["serve", "TINY", "--kv-memory", "100KB", "--context", "400"],
    ["serve", "TINY", "--data-dir", "text.txt"],
]

WITHOUT_SERVER: list[list[str]] = [
    ["chat", "Hello"],
    ["chat"],
    ["chat", "Hello", "--server-url", "nowhere"],
    ["chat", "Hello", "--json-schema", "schema.json"],
    ["chat", "Hello", "--local", "--model", "no-such.gguf"],
    ["chat", "Hello", "--local", "--model", "text.gguf"],
    ["complete-code", "code.py"],
    ["complete-code", "code.py:"],
    ["complete-code", "missing.py:2"],
    ["complete-code", "picture.png:1"],
    ["complete-code", "code.py:0"],
    ["complete-code", "code.py:7"],
    ["complete-code", "code.py:2", "--column", "22"],
    ["complete-code", "code.py:2"],
    ["finetune", "missing.jsonl"],
    ["finetune", "data.jsonl", "--wandb-project", "ships"],
    ["finetune", "data.jsonl"],
    ["export", "ft:tiny:a:20261121:1a2b3c4d"],
    ["inspect", "no-such-model"],
    ["inspect", "folder/no-such.gguf"],
    ["inspect", "hf:org/repo"],
    ["inspect", "org/repo:Q8_0"],
    ["inspect", "text.gguf"],
    ["pull", "smollm2"],
    ["pull", "org/repo"],
    ["pull", "hf:repo"],
    ["pull", "hf:org/repo"],
    ["rm", "smollm2"],
    ["rm", "org/repo"],
    ["rm", "text.gguf"],
    ["rm", "nonsense"],
    ["models", "--data-dir", "data"],
    ["models", "--data-dir", "data", "--json"],
    ["inspect", "TINY"],
    ["inspect", "TINY", "--template"],
    ["inspect", "EMBEDDER"],
    ["inspect", "EMBEDDER", "--template"],
]

WITH_SERVER: list[list[str]] = [
    ["chat", "Hello", "--model", "no-such-model"],
    ["chat", "Hello", "--temperature", "9"],
    ["chat", "Hello", "--max-tokens", "100000"],
    ["chat", "Hello", "--model", "tiny-embedder"],
    ["complete-code", "code.py:2", "--model", "no-such-model"],
    ["complete-code", "code.py:2", "--temperature", "9"],
    ["complete-code", "code.py:2", "--max-tokens", "100000"],
    ["finetune", "data.jsonl", "--model", "no-such-model"],
    ["finetune", "data.jsonl", "--model", "tiny-embedder"],
    ["finetune", "data.jsonl", "--suffix", "my form"],
    ["finetune", "data.jsonl", "--learning-rate", "-1"],
    ["finetune", "text.txt"],
    ["finetune", "plain.jsonl"],
    ["models", "--data-dir", "data"],
]


class Home:
    """Folder with files for commands, and the placeholders for paths in their arguments."""

    def __init__(self, names: Mapping[str, str], variables: Mapping[str, str]) -> None:
        self._names = names
        self._variables = variables

    def run(self, *arguments: str, **variables: str) -> str:
        """Run a command; return its output and exit code."""
        prefixes = ("PONANT_", "MISTRAL_", "WANDB_", "HF_")
        clean: Environment = {name: None for name in os.environ if name.startswith(prefixes)}
        given = [self._names.get(argument, argument) for argument in arguments]
        result = CliRunner(env={**clean, **self._variables, **variables}).invoke(main, given)
        streams = {"standard output": result.stdout, "standard error": result.stderr}
        shown = [f"--- {name}\n{text.rstrip()}" for name, text in streams.items() if text]
        text = "\n".join([*shown, f"--- exit code {result.exit_code}"])
        return normal_text(re.sub(r"/\S+/site-packages/", "<packages>/", text))

    def run_all(self, commands: list[list[str]], **variables: str) -> dict[str, str]:
        """Run commands; return their output by command."""
        return {" ".join(["ponant", *command]): self.run(*command, **variables) for command in commands}


@pytest.fixture
def home(tmp_path: Path, tiny_model: Path, tiny_embedder: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Home]:
    for name, content in FILES.items():
        (tmp_path / name).write_bytes(content)
    monkeypatch.chdir(tmp_path)
    with socket.create_server(("127.0.0.1", 0)) as busy:
        names = {"TINY": str(tiny_model), "EMBEDDER": str(tiny_embedder), "BUSY": str(busy.getsockname()[1])}
        variables = {"COLUMNS": "120", "PONANT_URL": NOBODY, "HF_ENDPOINT": NOBODY, "PONANT_THREADS": "1"}
        variables |= {"PONANT_DATA_DIR": str(tmp_path / "data"), "PONANT_PORT": "0"}
        yield Home(names, variables)
    gc.enable()  # `ponant serve` disables it until its models are loaded


def test_help(home: Home, recording: Recording) -> None:
    recording.check("help", {name: home.run(*arguments) for name, arguments in HELP.items()})


def test_wrong_usage(home: Home, recording: Recording) -> None:
    recording.check("usage", home.run_all(USAGE))


def test_wrong_settings(home: Home, recording: Recording) -> None:
    told = home.run_all(SETTINGS)
    for name, value in {"PARALLEL": "many", "ALIASES": "no JSON", "MODELS": "[1", "API_KEYS": "[1"}.items():
        told[f"PONANT_{name}={value} ponant serve"] = home.run("serve", **{f"PONANT_{name}": value})
    recording.check("settings", told)


def test_servers_that_cannot_start(home: Home, recording: Recording) -> None:
    recording.check("serve_refused", home.run_all(SERVE))


def test_commands_without_a_server(home: Home, recording: Recording) -> None:
    recording.check("commands", home.run_all(WITHOUT_SERVER))


def test_commands_that_a_server_answers(home: Home, tiny_server: RunningServer, recording: Recording) -> None:
    with tiny_server.client() as client:
        client.post("/v1/embeddings", json={"model": "tiny-embedder", "input": "a"})  # load both models
    recording.check("commands_with_server", home.run_all(WITH_SERVER, PONANT_URL=tiny_server.url))
