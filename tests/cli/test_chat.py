"""The command `ponant chat`: questions from pipes, and conversations in a terminal."""

import json
import os
import shlex
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pexpect
import pytest
from click.testing import CliRunner, Result

from ponant import Mistral
from ponant.cli.chat_session import ChatSession
from ponant.cli.main import main
from ponant.cli.terminal import split_blocks
from ponant.client.errors import ClientError
from tests.chatting import ENDLESS, answer
from tests.client.misbehaving import misbehaving, respond
from tests.in_process import EXACT, ScriptedServer, serving_in_process
from tests.serving import RunningServer, environment, ponant

QUESTION = "In which city is the Eiffel Tower?"
ASKING = "\x1b[?2004h"
"""Escape sequence that a prompt writes before it reads input."""

CITY = {
    "type": "object",
    "properties": {"city": {"type": "string", "maxLength": 10}},
    "required": ["city"],
    "additionalProperties": False,
}


def chat(*arguments: str, piped: str | bytes = "", server: RunningServer | None = None) -> Result:
    """Run `ponant chat` with piped input in this process."""
    clean = {name: None for name in os.environ if name.startswith("PONANT_")}
    url = {"PONANT_URL": server.url if server else None}
    return CliRunner(env=clean | url).invoke(main, ["chat", *arguments], input=piped)


def chat_by_itself(*arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    """Run `ponant chat` with an empty pipe in a process of its own."""
    return subprocess.run(
        ponant("chat", *arguments),
        input="",
        capture_output=True,
        check=False,
        text=True,
        env=environment(**variables),
        timeout=120,
    )


# In pipes


def test_one_question_gets_one_plain_answer(scripted_server: ScriptedServer) -> None:
    scripted_server.engine.play("The Eiffel Tower is in ", "**Paris**.")
    options = ["--temperature", "0", "--max-tokens", "50"]
    result = chat_by_itself(QUESTION, *options, PONANT_URL=scripted_server.url)
    assert (result.returncode, result.stderr) == (0, "")
    assert result.stdout == "The Eiffel Tower is in **Paris**.\n"
    assert QUESTION in scripted_server.engine.prompts[-1]


def test_what_is_piped_in_is_the_question_or_a_part_of_it(tiny_server: RunningServer) -> None:
    options = ["--temperature", "0", "--max-tokens", "8"]
    alone = chat(*options, piped="One\n\ntwo\n", server=tiny_server)
    both = chat("One", *options, piped="two\n", server=tiny_server)
    expected = answer(tiny_server, messages=[{"role": "user", "content": "One\n\ntwo"}], temperature=0, max_tokens=8)
    text = expected["choices"][0]["message"]["content"]
    assert alone.stdout == both.stdout == (text if text.endswith("\n") else text + "\n")


def test_options_are_the_requests(tiny_server: RunningServer) -> None:
    options = ["--system", "Be brief.", "--temperature", "1", "--top-p", "0.9", "--max-tokens", "8", "--seed", "3"]
    result = chat("Hello", *options, "--model", "mistral-small-latest", server=tiny_server)
    messages = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Hello"}]
    expected = answer(tiny_server, messages=messages, temperature=1.0, top_p=0.9, max_tokens=8, random_seed=3)
    assert result.stdout.rstrip("\n") == expected["choices"][0]["message"]["content"].rstrip("\n")


def test_answers_satisfy_a_schema(tiny_server: RunningServer, tmp_path: Path) -> None:
    file = tmp_path / "city.json"
    file.write_text(json.dumps(CITY))
    result = chat(QUESTION, "--json-schema", str(file), "--temperature", "0", server=tiny_server)
    assert result.exit_code == 0, result.stderr
    assert json.loads(result.stdout).keys() == {"city"}


def test_without_a_server_the_model_runs_in_process(tiny_model: Path) -> None:
    result = chat("Hello", "--model", str(tiny_model), "--max-tokens", "8", "--seed", "1")
    assert (result.exit_code, result.stderr) == (0, "")
    assert result.stdout.strip()


@pytest.mark.parametrize(
    ("arguments", "said", "code"),
    [
        ([], "no question: pass one", 2),
        (["Hello", "--model", "no-such.gguf"], "no-such.gguf", 2),
        (["Hello", "--model", "no-such-model"], "`ponant models` lists the models.", 1),
        (["Hello", "--temperature", "9"], "--temperature: ", 1),
        (["Hello", "--url", "http://127.0.0.1:9"], "or use --local", 1),
        (["Hello", "--server-url", "http://127.0.0.1:9"], "Cannot connect to http://127.0.0.1:9", 1),
        (["Hello", "--server-url", "nowhere"], "server_url", 2),
    ],
)
def test_mistakes_are_told_in_one_line(tiny_server: RunningServer, arguments: list[str], said: str, code: int) -> None:
    server = None if "no-such.gguf" in arguments else tiny_server
    result = chat(*arguments, server=server)
    (line,) = result.stderr.splitlines()
    assert line.startswith("ponant: ")
    assert said in line
    assert result.exit_code == code
    assert result.stdout == ""


@pytest.mark.parametrize(
    ("arguments", "piped", "said"),
    [([], b"caf\xe9", "not UTF-8 text"), (["Hello", "--temperature", "nan"], b"", "cannot be sent")],
)
def test_what_cannot_be_sent_is_told(tiny_server: RunningServer, arguments: list[str], piped: bytes, said: str) -> None:
    result = chat(*arguments, piped=piped, server=tiny_server)
    (line,) = result.stderr.splitlines()
    assert said in line
    assert result.exit_code == 2


def test_closed_standard_streams_are_no_matter(tiny_server: RunningServer) -> None:
    command = f"exec {shlex.join(ponant('chat', 'Hello', '--max-tokens', '2'))} <&-"
    variables = environment(PONANT_URL=tiny_server.url)
    for rest in ("", " >&-"):
        result = subprocess.run(["/bin/sh", "-c", command + rest], check=False, env=variables, timeout=120)
        assert result.returncode == 0


def test_a_schema_that_is_none_is_told(tmp_path: Path) -> None:
    file = tmp_path / "city.json"
    file.write_text("{")
    result = chat("Hello", "--json-schema", str(file))
    assert result.exit_code == 2
    assert "city.json is not JSON" in result.stderr


def test_a_server_that_fails_is_told() -> None:
    error = {"object": "error", "message": "No room.", "type": "rate_limited", "param": None, "code": "1300"}
    with misbehaving(respond(429, error)) as server:
        result = chat("Hello", "--server-url", server.url)
    assert result.exit_code == 1
    assert "No room" in result.stderr


def test_archived_models_are_no_choice() -> None:
    card = {"object": "model", "capabilities": {"completion_chat": True}}
    base = card | {"id": "base", "type": "base"}
    archived = card | {"id": "ft:old", "type": "fine-tuned", "job": "j", "root": "base", "archived": True}
    listed = {"object": "list", "data": [base, archived]}
    with misbehaving(respond(200, archived), respond(200, listed)) as server, Mistral(server_url=server.url) as mistral:
        session = ChatSession(mistral, "ft:old")
        with pytest.raises(ClientError, match="ft:old is archived"):
            session.check_model()
        assert session.names() == ["base"]


# In a terminal


class Terminal:
    """`ponant chat` in a terminal of its own."""

    def __init__(self, home: Path, *arguments: str, **variables: str) -> None:
        command, *rest = ponant("chat", *arguments)
        variables |= {
            "XDG_DATA_HOME": str(home),
            "TERM": "xterm-256color",
            "COLUMNS": "160",
            "PROMPT_TOOLKIT_NO_CPR": "1",
        }
        self._process: Any = pexpect.spawn(
            command, rest, env=environment(**variables), encoding="utf-8", timeout=30, dimensions=(40, 160)
        )

    def enter(self, text: str) -> None:
        """Enter a line once the prompt is shown."""
        self.sees(ASKING)
        self._process.send(text + "\r")

    def sees(self, text: str) -> None:
        self._process.expect_exact(text)

    def interrupt(self) -> None:
        self._process.sendintr()

    def ends(self) -> int:
        self._process.expect(pexpect.EOF)
        self._process.close()
        status: int = self._process.exitstatus
        return status

    def close(self) -> None:
        self._process.close(force=True)


@pytest.fixture(scope="module")
def endless_server(endless_model: Path) -> Iterator[RunningServer]:
    with serving_in_process(endless_model, parallel=1, **EXACT) as server:
        yield server


def test_a_conversation_in_a_terminal(scripted_server: ScriptedServer, tmp_path: Path) -> None:
    saved = tmp_path / "conversation.json"
    scripted_server.engine.play("It is in ", "Paris.")
    terminal = Terminal(tmp_path, "--max-tokens", "40", PONANT_URL=scripted_server.url)
    terminal.sees("/help lists the commands")
    terminal.enter("/temperature 0")
    terminal.sees("Temperature: 0")
    terminal.enter("/system Answer in one short sentence.")
    terminal.sees("System prompt: Answer in one")
    terminal.enter("/model")
    terminal.sees("Models: scripted\x1b[0m\r\n")
    terminal.enter("/model no-such-model")
    terminal.sees("/model lists the models.")
    terminal.enter("/model multilingual-e5-small")
    terminal.sees("multilingual-e5-small is not a model for conversations. /model lists the models.")
    terminal.enter("/temperature 9")
    terminal.enter(QUESTION)
    terminal.sees("/temperature: ")
    terminal.enter("/temperature 0")
    terminal.enter(QUESTION)
    terminal.sees("It is in Paris.")
    terminal.enter(f"/save {saved}")
    terminal.sees("Saved:")
    system, question, said = json.loads(saved.read_text())
    assert system == {"role": "system", "content": "Answer in one short sentence."}
    assert question == {"role": "user", "content": QUESTION}
    assert said == {"role": "assistant", "content": "It is in Paris."}
    assert scripted_server.engine.requests[-1].sampling.temperature == 0
    terminal.enter("/clear")
    terminal.sees("Forgotten.")
    terminal.enter(f"/save {saved.with_suffix('.md')}")
    terminal.sees("Saved:")
    assert saved.with_suffix(".md").read_text() == "## System\n\nAnswer in one short sentence.\n"
    terminal.enter("/nonsense")
    terminal.sees("Unknown command /nonsense")
    terminal.enter("/quit")
    assert terminal.ends() == 0
    assert QUESTION in (tmp_path / "ponant" / "chat-history").read_text()


def test_a_conversation_does_not_begin_with_a_model_for_embeddings(tiny_server: RunningServer, tmp_path: Path) -> None:
    terminal = Terminal(tmp_path, "--model", "tiny-embedder", PONANT_URL=tiny_server.url)
    terminal.sees("tiny-embedder is not a model for conversations. `ponant models` lists the models.")
    assert terminal.ends() == 1


def test_a_new_line_is_entered_with_alt_enter(tiny_server: RunningServer, tmp_path: Path) -> None:
    saved = tmp_path / "conversation.json"
    terminal = Terminal(tmp_path, "--max-tokens", "4", PONANT_URL=tiny_server.url)
    terminal.enter("one\x1b\rtwo")
    terminal.enter(f"/save {saved}")
    terminal.sees("Saved:")
    terminal.enter("\x04")
    assert json.loads(saved.read_text())[0]["content"] == "one\ntwo"


def test_ctrl_c_stops_the_answer_and_not_the_program(endless_server: RunningServer, tmp_path: Path) -> None:
    terminal = Terminal(tmp_path, "--max-tokens", str(ENDLESS["max_tokens"]), PONANT_URL=endless_server.url)
    terminal.enter("Talk.")
    terminal.sees("\x1b[?2004l")  # the prompt has ended
    terminal.sees("\x1b[?25l")  # the cursor is hidden: an answer is shown
    terminal.interrupt()
    terminal.sees("Stopped.")
    assert answer(endless_server, max_tokens=2)["usage"]["completion_tokens"] == 2
    terminal.sees(ASKING)
    terminal.interrupt()
    terminal.enter("/help")
    terminal.sees("Ctrl-C stops an answer")
    terminal.enter("/quit")
    assert terminal.ends() == 0


def test_what_is_wrong_with_a_question_ends_no_conversation(tiny_server: RunningServer) -> None:
    home = Path("/proc/nothing")  # a folder that cannot hold a history
    terminal = Terminal(home, "--max-tokens", "2", PONANT_URL=tiny_server.url)
    terminal.enter("/temperature nan")
    terminal.enter("Hello")
    terminal.sees("not JSON compliant")
    terminal.enter("/quit")
    assert terminal.ends() == 0


def test_one_question_in_a_terminal_is_answered_in_markdown(scripted_server: ScriptedServer, tmp_path: Path) -> None:
    scripted_server.engine.play("The Eiffel Tower is in **Par", "is**.")
    terminal = Terminal(tmp_path, QUESTION, "--temperature", "0", PONANT_URL=scripted_server.url)
    terminal.sees("The Eiffel Tower is in \x1b[1mParis\x1b[0m.")
    assert terminal.ends() == 0


def test_without_a_server_a_terminal_is_told_so(tiny_model: Path, tmp_path: Path) -> None:
    terminal = Terminal(tmp_path, "--model", str(tiny_model), "--max-tokens", "4")
    terminal.sees("in this process")
    terminal.enter("Hello")
    terminal.enter("/quit")
    assert terminal.ends() == 0


# Markdown


@pytest.mark.parametrize(
    ("text", "finished"),
    [
        ("", ""),
        ("a line", ""),
        ("a line\n", ""),
        ("a line\n\n", "a line\n\n"),
        ("one\n\ntwo\n\nthr", "one\n\ntwo\n\n"),
        ("one\n\n```py\na\n\nb\n", "one\n\n"),
        ("```py\na\n\nb\n```\n\nmore", "```py\na\n\nb\n```\n\n"),
        ("```\n~~~\n\n", ""),
        ("one\n  \ntwo", "one\n  \n"),
    ],
)
def test_blocks_are_finished_at_a_blank_line_outside_of_code(text: str, finished: str) -> None:
    assert split_blocks(text) == (finished, text[len(finished) :])
