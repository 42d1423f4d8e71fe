"""Code on pages of the documentation runs: ours, and the reference's with one import changed."""

import inspect
import re
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from ponant import Mistral, models, utils
from ponant.client.chat import Chat
from ponant.engine.base import GenerateRequest
from tests.client.pages import code_blocks, run_block
from tests.in_process import ScriptedServer, serving_scripted
from tests.scripted_engine import Script

REFERENCE = Path(__file__).parents[2].parent / "shared" / "spec" / "reference"
CHAT, REQUEST = REFERENCE / "sdk-chat.md", REFERENCE / "chat-completion-request.md"

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"

SHOWING = [
    ("docs/client.md", "Paris"),
    ("docs/fim.md", "width"),
    ("docs/embeddings.md", "384 dimensions"),
    ("docs/files.md", "217 2 instruct"),
    ("docs/structured-output.md", '"profession": "painter"'),
    ("docs/dialects.md", "Paris"),
]
"""Pages with the output of each block of code, and the text of their first block."""
OTHERS = [("README.md", "Paris"), ("docs/tools.md", 'get_weather {"city": "'), ("docs/reasoning.md", "answer: ")]
"""Other pages with code."""
RUN_BY_MAKE_COMPAT = "docs/compatibility.md"

SAID = {
    "Answer in JSON: name and country.": '{"name": "Paris", "country": "France"}',
    "In which city is the Eiffel Tower?": "The Eiffel Tower is located in Paris, France.",
    "born in 1853": '{"name": "Vincent van Gogh", "born": 1853, "profession": "painter"}',
    '"degrees": 21': "It is 21 degrees in Paris, and the sky is clear.",
    "weather in Paris?": '<tool_call>\n{"name": "get_weather", "arguments": {"city": "Paris"}}\n</tool_call>',
    "A farmer has 3 dogs.": "<think>\nA dog has 4 legs, and 3 times 4 is 12.\n</think>\nThey have 12 legs.",
    "def area(width, height):": "width",
}
"""Answers of the pages' server by a text of the prompt; the first match counts."""

reference = pytest.mark.skipif(not CHAT.exists(), reason="the reference pages are not here")

LOST_INDENTATION = """  with res as event_stream:
  for event in event_stream:
  # handle event
  print(event, flush=True)
"""
INDENTED = """  with res as event_stream:
    for event in event_stream:
      # handle event
      print(event, flush=True)
"""
ROW = re.compile(r"^\| `(\w+)`\s*\| (.*?)\s*\| :(\w+):")


@pytest.fixture(scope="module")
def pages_server(tiny_model: Path) -> Iterator[ScriptedServer]:
    """Server that gives the answers of the pages, independent of the processor."""
    with serving_scripted(tiny_model, ("smollm2",), engine={"context": 8192}) as server:
        server.engine.usual = partial(said_to, server)
        yield server


def said_to(server: ScriptedServer, request: GenerateRequest) -> Script:
    prompt = server.engine.text(request.prompt)
    (answer, *_) = [answer for question, answer in SAID.items() if question in prompt] or ["I see."]
    return re.findall(r"\S+\s*|\s+", answer)


def sections() -> dict[str, str]:
    """Return the sections of the chat page by operation."""
    _, complete, stream = re.split(r"^## (?:complete|stream)$", CHAT.read_text(), flags=re.MULTILINE)
    return {"complete": complete, "stream": stream}


def rows(text: str) -> list[tuple[str, str, bool]]:
    """Return the parameters' names, types, and whether they are required."""
    found = [match.groups() for line in text.splitlines() if (match := ROW.match(line))]
    assert found
    return [(name, kind, mark == "heavy_check_mark") for name, kind, mark in found]


@reference
@pytest.mark.parametrize("number", [0, 1], ids=["complete", "stream"])
def test_code_runs_with_one_import_changed(
    pages_server: ScriptedServer, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    monkeypatch.setenv("PONANT_URL", pages_server.url)
    code = code_blocks(CHAT)[number]
    assert "from mistralai import Mistral" in code
    code = code.replace("from mistralai import", "from ponant import").replace(LOST_INDENTATION, INDENTED)
    printed = run_block(code)
    if number == 0:
        assert printed.startswith("id='cmpl-")
        assert "finish_reason='stop'" in printed
    else:
        lines = printed.splitlines()
        assert len(lines) > 3
        assert all(line.startswith("data=CompletionChunk(") for line in lines)


@reference
@pytest.mark.parametrize("operation", ["complete", "stream"])
def test_parameters_are_those_of_the_page(operation: str) -> None:
    page = sections()[operation]
    for name in (operation, f"{operation}_async"):
        parameters = inspect.signature(getattr(Chat, name)).parameters
        for parameter, kind, required in rows(page):
            default = parameters[parameter].default
            if required:
                assert default is inspect.Parameter.empty, parameter
            elif "OptionalNullable" in kind or parameter == "retries":
                assert default is utils.UNSET, parameter
            elif parameter == "stream":
                assert default is (operation == "stream")
            elif "Optional" in kind:
                assert default is None, parameter


@reference
def test_fields_are_those_of_the_request_page() -> None:
    for name, _, _ in rows(REQUEST.read_text()):
        assert name in models.ChatCompletionRequest.model_fields
        assert name in inspect.signature(Chat.complete).parameters


@reference
def test_every_type_of_the_pages_can_be_imported() -> None:
    text = CHAT.read_text() + REQUEST.read_text()
    names = set(re.findall(r"\b((?:models|utils|eventstreaming)\.[A-Z]\w+)", text))
    assert len(names) > 15
    faces = {"models": models, "utils": utils, "eventstreaming": utils.eventstreaming}
    missing = [name for name in names if not hasattr(faces[name.split(".")[0]], name.split(".")[1])]
    assert missing == []


@pytest.mark.parametrize(("page", "said"), SHOWING)
def test_our_pages_code_prints_what_they_show(
    pages_server: ScriptedServer, monkeypatch: pytest.MonkeyPatch, page: str, said: str
) -> None:
    printed = run_page(ROOT / page, pages_server, monkeypatch)
    shown = re.findall(r"^```text\n(.*?)^```", (ROOT / page).read_text(), re.MULTILINE | re.DOTALL)
    assert [text.count("\n") for text in printed] == [text.count("\n") for text in shown]
    assert said in printed[0]


@pytest.mark.parametrize(("page", "said"), OTHERS)
def test_our_other_pages_code_runs(
    pages_server: ScriptedServer, monkeypatch: pytest.MonkeyPatch, page: str, said: str
) -> None:
    assert said in run_page(ROOT / page, pages_server, monkeypatch)[0]


def test_no_page_with_code_is_left_out() -> None:
    pages = [page for page in [ROOT / "README.md", *DOCS.glob("*.md")] if code_blocks(page)]
    run = {page for page, _ in (*SHOWING, *OTHERS)} | {RUN_BY_MAKE_COMPAT}
    assert {str(page.relative_to(ROOT)) for page in pages} == run


def run_page(page: Path, server: ScriptedServer, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Return the output of each block of a page, run against this server, also in place of a local one."""
    monkeypatch.setenv("PONANT_URL", server.url)
    monkeypatch.setattr(Mistral, "local", Mistral)
    names: dict[str, Any] = {"__name__": "page"}
    return [run_block(code.replace("http://127.0.0.1:8000", server.url), names) for code in code_blocks(page)]
