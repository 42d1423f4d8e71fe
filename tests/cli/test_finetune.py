"""The command `ponant finetune`: with and without a server, in pipes and in a terminal.

The training itself is scripted.
"""

import json
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pexpect
import pytest
from click.testing import CliRunner, Result

from ponant import models
from ponant.cli.job_progress import curve, duration, showing_job, steps_of
from ponant.cli.main import main
from tests.in_process import serving_in_process
from tests.jobs import JOBS, create, upload
from tests.serving import RunningServer, environment, ponant
from tests.training.extra import skip_without_training
from tests.training.runs import conversation, write_lines

skip_without_training()
pytestmark = pytest.mark.usefixtures("scripted_training")

SHORT = ["--steps", "2", "--seq-len", "128"]


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """Small training file."""
    lines = [conversation(f"Say {number}.", "the hello and") for number in range(8)]
    return write_lines(tmp_path / "train.jsonl", lines)


@pytest.fixture
def bad_data(tmp_path: Path) -> Path:
    """Training file with two bad lines."""
    lines = [conversation("Say it.", "the hello"), {"messages": []}, {"messages": "Say it."}]
    return write_lines(tmp_path / "bad.jsonl", lines)


def finetune(server: RunningServer | None, *arguments: str, **variables: str) -> Result:
    """Run `ponant finetune` in this process."""
    clean = {name: None for name in os.environ if name.startswith(("PONANT_", "WANDB_"))}
    url = server.url if server else "http://127.0.0.1:9"
    return CliRunner(env=clean | {"PONANT_URL": url} | variables).invoke(main, ["finetune", *arguments])


def names_of_files(server: RunningServer) -> set[str]:
    with server.client() as client:
        return {file["id"] for file in client.get("/v1/files").json()["data"]}


@pytest.fixture(scope="module", autouse=True)
def _files_go(tiny_server: RunningServer) -> Iterator[None]:
    """Delete the files that jobs keep, because other tests share the server."""
    before = names_of_files(tiny_server)
    yield
    with tiny_server.client() as client:
        for file_id in names_of_files(tiny_server) - before:
            client.delete(f"/v1/files/{file_id}")


# With a server


def test_model_is_trained_and_answers(tiny_server: RunningServer, data: Path) -> None:
    result = finetune(tiny_server, str(data), *SHORT, "--validation", str(data), "--suffix", "mine")
    assert result.exit_code == 0, result.output
    told = result.stderr.splitlines()
    assert "Training" in told
    assert told[-1] == "Done"
    assert [line for line in told if re.fullmatch(r"Step 2 of 2: loss \S+, validation loss \S+, accuracy \d+%", line)]
    said = result.stdout.splitlines()
    match = re.fullmatch(r"Trained (ft:tiny:mine:\d{8}:\w+)\. To use it:", said[0])
    assert match
    name = match[1]
    assert said[1] == f"  ponant chat --model {name} --server-url {tiny_server.url}"
    assert said[2].startswith(f"  curl {tiny_server.url}/v1/chat/completions ")
    body = json.loads(said[2].partition(" -d '")[2].removesuffix("'"))
    with tiny_server.client() as client:
        assert client.post("/v1/chat/completions", json=body | {"max_tokens": 3}).json()["model"] == name

        runner = CliRunner(env={"PONANT_URL": tiny_server.url})
        chat = runner.invoke(main, ["chat", "Hello", "--model", name, "--max-tokens", "3"])
        assert chat.exit_code == 0, chat.stderr
        listed = json.loads(runner.invoke(main, ["models", "--json"]).stdout)["models"]
        (row,) = [row for row in listed if row["id"] == name]
        assert (row["loaded"], row["context"]) == (True, 512)

        assert client.delete(f"/v1/models/{name}").json()["deleted"]


def test_dry_run_tells_what_it_would_take_and_leaves_nothing(tiny_server: RunningServer, data: Path) -> None:
    before = names_of_files(tiny_server)
    result = finetune(tiny_server, str(data), str(data), *SHORT, "--dry-run")
    assert result.exit_code == 0, result.output
    assert "2 steps, from 16 samples" in result.stdout
    assert result.stderr == "Validating the data\n"
    assert re.search(r"^tokens in total +at most 256$", result.stdout, re.MULTILINE)
    assert re.search(r"^expected duration +\S+ \w+", result.stdout, re.MULTILINE)
    assert names_of_files(tiny_server) == before


def test_bad_lines_are_told_and_may_be_skipped(tiny_server: RunningServer, bad_data: Path) -> None:
    with tiny_server.client() as client:
        file_id = upload(client)
        first = create(client, file_id, steps=100_000)["id"]
        result = finetune(tiny_server, str(bad_data), *SHORT, "--skip-invalid", "50", "--json")
        client.post(f"{JOBS}/{first}/cancel")
        client.delete(f"/v1/files/{file_id}")
    assert result.exit_code == 1
    assert json.loads(result.stdout)["status"] == "FAILED_VALIDATION"
    ahead, *_, state, allowed, second, third = result.stderr.splitlines()
    assert re.fullmatch(rf"Job {first} \(\w+\) runs first\.", ahead)
    assert state == "The data is invalid"
    assert allowed == f"ponant: 2 of 3 lines of {bad_data} are invalid, 50% are allowed:"
    assert second.startswith("line 2: ")
    assert third.startswith("line 3: ")

    bad_data.write_text(bad_data.read_text().replace('{"messages": []}\n', ""))
    plan = finetune(tiny_server, str(bad_data), "--skip-invalid", "50", "--dry-run", "--json")
    assert plan.exit_code == 0, plan.output
    assert json.loads(plan.stdout)["object"] == "job.metadata"


@pytest.mark.parametrize(
    ("arguments", "said", "code"),
    [
        (["no-such.jsonl"], "cannot read no-such.jsonl: No such file or directory", 2),
        (["DATA", "--validation", "no-such.jsonl"], "cannot read no-such.jsonl", 2),
        (["DATA", "--wandb-project", "ships"], "WANDB_API_KEY", 2),
        (["DATA", "--model", "no-such-model"], "Invalid model: no-such-model", 1),
        (["DATA", "--model", "tiny-embedder"], "tiny-embedder", 1),
        (["DATA", "--suffix", "my form"], "suffix", 1),
        (["DATA", "--learning-rate", "-1"], "--learning-rate: ", 1),
        (["DATA", "--seq-len", "1"], "--seq-len: ", 1),
        (["DATA", "--steps", "0"], "--steps: ", 1),
        (["TEXT"], "text.txt: Files for fine-tuning are JSON Lines", 1),
        (["PLAIN"], "plain.jsonl has samples for pre-training", 1),
        (["DATA", "--server-url", "http://127.0.0.1:9"], "Cannot connect to http://127.0.0.1:9", 1),
    ],
)
def test_mistakes_are_told_in_one_line(
    tiny_server: RunningServer, data: Path, arguments: list[str], said: str, code: int
) -> None:
    text = data.with_name("text.txt")
    text.write_text("Once upon a time\n")
    plain = data.with_name("plain.jsonl")
    plain.write_text('{"text": "Once upon a time"}\n')
    before = names_of_files(tiny_server)
    paths = {"DATA": str(data), "TEXT": str(text), "PLAIN": str(plain)}
    result = finetune(tiny_server, *(paths.get(argument, argument) for argument in arguments))
    assert result.exit_code == code
    (line,) = result.stderr.splitlines()
    assert line.startswith("ponant: ")
    assert said in line
    assert result.stdout == ""
    assert names_of_files(tiny_server) == before


def test_every_line_that_is_no_json_is_told(tiny_server: RunningServer, data: Path) -> None:
    data.write_text("{}\n{'a': 1}\n{}\n[1,]\n")
    result = finetune(tiny_server, str(data))
    assert result.exit_code == 1
    first, *lines = result.stderr.splitlines()
    assert first.startswith(f"ponant: {data}: Files for fine-tuning are JSON Lines")
    assert [line.split(":")[0] for line in lines] == ["line 2", "line 4"]


def test_refusals_name_the_options(tiny_server: RunningServer, data: Path) -> None:
    too_long = finetune(tiny_server, str(data), "--dry-run", "--seq-len", "100000")
    assert "--seq-len (100000) exceeds the context length" in too_long.stderr
    unknown = finetune(tiny_server, str(data), "--model", "no-such-model")
    assert "`ponant models` lists the models" in unknown.stderr


# Without a server, in a terminal


class Terminal:
    """`ponant finetune --local` in a terminal of its own."""

    def __init__(self, home: Path, *arguments: str) -> None:
        self._variables = environment(XDG_DATA_HOME=str(home), TERM="xterm", PONANT_THREADS="1")
        command, *rest = ponant("finetune", "--local", *arguments)
        self._process: Any = pexpect.spawn(
            command, rest, env=self._variables, encoding="utf-8", timeout=120, dimensions=(40, 160)
        )

    def sees(self, *texts: str) -> None:
        """Wait for one of these texts."""
        self._process.expect_exact(list(texts))

    def interrupt(self) -> None:
        self._process.sendintr()

    def ends(self) -> tuple[int, str]:
        """Wait for the exit; return the exit code and the rest of the output."""
        self._process.expect(pexpect.EOF)
        self._process.close()
        return self._process.exitstatus, re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", self._process.before)


def test_training_without_a_server(data: Path, tiny_model: Path, tmp_path: Path) -> None:
    terminal = Terminal(tmp_path, str(data), *SHORT, "--model", str(tiny_model))
    terminal.sees("Starting")
    terminal.sees("Loading")
    code, shown = terminal.ends()
    assert code == 0, shown
    assert re.search(r"Done ━+ 2/2 \S+ tokens/s", shown)
    assert re.search(r"loss \d+\.\d{3} [▁▂▃▄▅▆▇█]+ \d+\.\d{3}", shown)
    match = re.search(r"Trained (\S+)\. To use it:\s+ponant serve (\S+)\s+ponant chat --model (\S+)", shown)
    assert match
    assert match.groups() == (match[1], str(tiny_model), match[1])

    variables = {
        "XDG_DATA_HOME": str(tmp_path),
        "PONANT_URL": "http://127.0.0.1:9",
        "PONANT_MODELS": f'["{tiny_model}"]',
    }
    listed = CliRunner(env=variables).invoke(main, ["models", "--json"])
    (row,) = [row for row in json.loads(listed.stdout)["models"] if row["id"] == match[1]]
    assert (row["format"], row["kind"], row["context"], row["problem"]) == ("LoRA", "chat", 512, None)
    assert row["size"] > 0


def test_interruption_cancels_the_job(data: Path, tiny_model: Path, tmp_path: Path) -> None:
    terminal = Terminal(tmp_path, str(data), "--steps", "100000", "--model", str(tiny_model))
    terminal.sees("Validating the data", "Training")
    terminal.interrupt()
    terminal.sees("Cancelling the job")
    code, shown = terminal.ends()
    assert code == 130
    assert "Cancelled" in shown


def test_job_of_a_server_for_other_models_is_run_by_it(
    bad_data: Path, tiny_model: Path, tiny_embedder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ponant.jobs.runner._IDLE_POLL_SECONDS", 0.1)
    with serving_in_process(tiny_embedder, data_dir=tmp_path):
        result = finetune(None, str(bad_data), "--model", str(tiny_model), "--local", PONANT_DATA_DIR=str(tmp_path))
    assert result.exit_code == 1
    assert "2 of 3 lines" in result.stderr


# Display


def test_curve() -> None:
    assert curve([]) == ""
    assert curve([2, 2]) == "▁▁"
    assert curve([8, 7, 6, 5, 4, 3, 2, 1]) == "█▇▆▅▄▃▂▁"
    assert curve([3, 1, 2, 0, 0, 0], width=3) == "█▅▁"


def test_state_and_steps_of_a_job_before_its_first_step(capsys: pytest.CaptureFixture[str]) -> None:
    plan = models.JobMetadataOut(train_tokens=1_280, train_tokens_per_step=128)
    fields: dict[str, Any] = {"status": "RUNNING", "metadata": plan, "events": [], "checkpoints": []}
    job = models.CompletionDetailedJobOut.model_construct(
        **fields, hyperparameters=models.CompletionTrainingParameters.model_construct(training_steps=None)
    )
    assert steps_of(job) == 10
    with showing_job() as watcher:
        watcher.show(job)
    assert capsys.readouterr().err == "Loading PyTorch and the model\n"


def test_duration() -> None:
    assert [duration(seconds) for seconds in (0.6, 80, 7265)] == ["1 s", "1 min 20 s", "2 h 1 min"]
