"""Samples: their syntax, the fields that clients accept, and the quoting of strings."""

import ast
import functools
import inspect
import json
import re
import subprocess

import pytest
import tree_sitter
import tree_sitter_swift
from hypothesis import example, given, settings
from hypothesis import strategies as st
from mistralai.client import Mistral as OfficialClient

import ponant
from ponant.samples.call import ApiCall, Json, Target, UploadForm
from ponant.samples.layout import ASCII_JSON, JSON, PYTHON
from ponant.samples.operations import OPERATIONS, Operation
from ponant.samples.samples import FORMS, samples_of
from ponant.samples.strings import java_string, javascript_string, shell_word, swift_string
from tests.samples.calls import CALLS, HOSTILE, TARGET, chat
from tests.soak import examples

SWIFT = tree_sitter.Parser(tree_sitter.Language(tree_sitter_swift.language()))
CLIENTS = {"python-mistralai", "python-ponant", "javascript-mistralai"}
OFFICIAL = {"python-mistralai", "javascript-mistralai"}
TEXTS = st.text(
    st.sampled_from(sorted({*HOSTILE, *"aA0 _-/:;.,@=~!?*&|<>[]\x80\xa0\ufeff\ufffe\U0010ffff"})), max_size=12
)
BODIES = st.dictionaries(
    TEXTS,
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | TEXTS,
        lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXTS, inner, max_size=4),
        max_leaves=8,
    ),
    max_size=4,
)


def sources(call: ApiCall, target: Target = TARGET) -> dict[str, str]:
    return {sample.form: sample.source for sample in samples_of(call, target)}


@pytest.mark.parametrize("call", CALLS, ids=lambda call: f"{call.method} {call.path}")
def test_samples_are_programs_of_their_languages(call: ApiCall) -> None:
    written = sources(call)
    compile(written["python-ponant"], "sample.py", "exec")
    compile(written.get("python-mistralai", ""), "sample.py", "exec")
    assert swift_errors(written["swift"]) == []
    checked = subprocess.run(["bash", "-n"], input=written["shell"], text=True, capture_output=True, check=False)
    assert checked.stderr == ""


def swift_errors(source: str) -> list[str]:
    """Return the parts of a program that Swift's grammar does not have."""
    cursor = [SWIFT.parse(source.encode()).root_node]
    wrong = []
    while cursor:
        node = cursor.pop()
        if node.is_error or node.is_missing:
            wrong.append(source.encode()[node.start_byte : node.end_byte].decode())
        cursor += node.children
    return wrong


@pytest.mark.parametrize(
    ("call", "missing"),
    [
        (chat(), set()),
        (ApiCall("POST", "/v1/embeddings", body={"model": "a", "input": "a", "encoding_format": "base64"}), OFFICIAL),
        (chat(seed=1), CLIENTS),
        (chat(random_seed=2**53), {"javascript-mistralai"}),
        (ApiCall("POST", "/v1/chat/completions", body={}), CLIENTS),
        (
            ApiCall(
                "POST", "/v1/fine_tuning/jobs", query={"dry_run": True}, body={"model": "a", "hyperparameters": {}}
            ),
            OFFICIAL,
        ),
        (ApiCall("POST", "/v1/files", form=UploadForm("a", {"color": "red"})), CLIENTS),
    ],
)
def test_clients_that_cannot_send_a_request_have_no_sample_of_it(call: ApiCall, missing: set[str]) -> None:
    assert {form.name for form in FORMS} - set(sources(call)) == {*missing, "python-openai"}


@pytest.mark.parametrize("path", ["/v1/models/a", "/models/a", "/nim/v1/models/a", "/openai/models/a"])
def test_paths_of_dialects_and_without_a_version_are_known(path: str) -> None:
    written = sources(ApiCall("GET", path))
    assert 'client.models.retrieve(model_id="a")' in written["python-ponant"]
    assert (
        f'server_url="{TARGET.address}{path.partition("/v1")[0].partition("/models")[0]}"' in written["python-ponant"]
    )
    assert f"{TARGET.address}{path} " in written["shell"]


def test_servers_without_keys_get_none() -> None:
    without = sources(chat(), Target("https://dev.example/api"))
    for source in without.values():
        assert "dev.example/api" in source
        assert not re.search(r"Authorization|MISTRAL_API_KEY|api_?key", source, re.IGNORECASE)
    for source in sources(chat()).values():
        assert "MISTRAL_API_KEY" in source


@pytest.mark.parametrize(
    "make",
    [
        lambda: Target("ftp://a"),
        lambda: Target("http://a'b"),
        lambda: Target("http://a", "a b"),
        lambda: ApiCall("GET", "/v1/models/a b"),
        lambda: Target("http://[::1"),
        lambda: Target("http://a:b"),
        lambda: Target("http://a%"),
        lambda: ApiCall("GET", "/v1/models/é"),
        lambda: ApiCall("GET", "/v1/models/100%"),
        lambda: ApiCall("GET", "/v1/models", body={}),
        lambda: ApiCall("POST", "/v1/files", body={}, form=UploadForm("a")),
        lambda: chat(temperature=float("inf")),
        lambda: chat(metadata=json.loads("[" * 40 + "]" * 40)),
        lambda: samples_of(ApiCall("GET", "/v1/agents"), TARGET),
        lambda: samples_of(ApiCall("POST", "/v1/files"), TARGET),
        lambda: samples_of(ApiCall("GET", "/v1/models", form=UploadForm("a")), TARGET),
        lambda: ApiCall("GET", "/v1/models", body={}),
        lambda: ApiCall("POST", "/v1/files", body={}, form=UploadForm("a")),
    ],
)
def test_what_cannot_be_written_is_refused(make: object) -> None:
    with pytest.raises(ValueError):
        make()  # type: ignore[operator]


def test_only_times_of_queries_are_dates() -> None:
    text = "createdAfter: "
    listed = ApiCall("GET", "/v1/fine_tuning/jobs", {"created_after": '1"', "suffix": text, "wandb_name": ");x("})
    written = sources(listed)["javascript-mistralai"]
    for line in ('createdAfter: new Date("1\\""),', 'suffix: "createdAfter: ",', 'wandbName: ");x(",'):
        assert f"  {line}\n" in written


def test_names_do_not_end_headers_of_forms() -> None:
    name = 'a"\r\nx: y'
    written = sources(ApiCall("POST", "/v1/files", form=UploadForm(name, {name: name})))
    for form in ("java", "swift"):
        assert written[form].count(r"name=\"a%22%0D%0Ax: y\"") == 2  # also in ``filename``


@pytest.mark.parametrize("operation", OPERATIONS, ids=lambda operation: operation.call)
def test_parameters_are_those_of_the_clients(operation: Operation) -> None:
    own = parameters_of(ponant.Mistral(server_url="http://a"), operation)
    assert own == operation.parameters
    if not operation.is_early:
        assert parameters_of(OfficialClient(api_key="a"), operation) == operation.parameters


def parameters_of(client: object, operation: Operation) -> set[str]:
    """Return the parameters of a client's method, without the ids and the options of every call."""
    method = functools.reduce(getattr, operation.call.split("."), client)
    options = {"retries", "server_url", "timeout_ms", "http_headers", "accept_header"}
    return set(inspect.signature(method).parameters) - options - set(re.findall(r"\{(\w+)\}", operation.path))  # type: ignore[arg-type]


@settings(max_examples=examples(200), deadline=None)
@given(BODIES)
@example({HOSTILE: HOSTILE})
def test_bodies_survive_the_literals_of_all_languages(body: dict[str, Json]) -> None:
    assert json.loads(JSON.body(body)) == body
    assert ASCII_JSON.body(body).isascii()
    assert ast.literal_eval(PYTHON.literal(body)) == body
    written = sources(ApiCall("POST", "/v1/chat/completions", body=body))
    assert json.loads(java_block(written["java"])) == body
    assert json.loads(swift_block(written["swift"])) == body
    assert json.loads(shell_argument(written["shell"])) == body


def java_block(source: str) -> str:
    """Return the value of the text block of a Java program, as in the language's specification."""
    (block,) = re.findall(r'"""\n(.*?)(?<!\\)"""', source, re.DOTALL)
    lines = [line.removeprefix(" " * 12).rstrip(" ") for line in block.split("\n")]
    assert re.fullmatch(r"(?:[^\\]|\\[\\\"nrt])*", "\n".join(lines))
    return re.sub(r"\\(.)", r"\1", "\n".join(lines))


def swift_block(source: str) -> str:
    """Return the value of the raw string of a Swift program."""
    found = re.search(r'(#+)"""\n(.*?)\n"""\1', source, re.DOTALL)
    assert found
    assert f"\\{found[1]}" not in found[2]
    return found[2]


def shell_argument(source: str) -> str:
    """Return the body in a command. In single quotes, a shell reads each character as itself."""
    quoted = source.partition("--data ")[2].removesuffix("\n")
    assert re.fullmatch(r"'[^']*'(?:\\''[^']*')*", quoted) or quoted == "{}"
    return quoted.replace("'\\''", "\0").strip("'").replace("\0", "'")


@settings(max_examples=examples(400), deadline=None)
@given(TEXTS)
@example(HOSTILE)
def test_strings_survive_the_literals_of_all_languages(text: str) -> None:
    assert json.loads(javascript_string(text)) == text
    assert json.loads(java_string(text)) == text
    assert java_string(text).isascii()
    swift = re.sub(r"\\u\{(\w+)\}", lambda code: f"\\U{int(code[1], 16):08x}", swift_string(text))
    assert ast.literal_eval(swift) == text


def test_shells_read_the_quoted_words() -> None:
    words = ["", HOSTILE.replace("\0", ""), "plain", "-n", "~", "*", "a=b", "'", "''", "\\'", "!", "#", "{a,b}"]
    command = f"printf '%s\\0' {' '.join(map(shell_word, words))}"
    assert subprocess.check_output(["bash", "-c", command]).decode().split("\0")[:-1] == words


def test_large_bodies_fit_into_commands_and_classes() -> None:
    written = sources(chat(metadata={"text": "é'" * 60_000}))
    assert "<<'END_OF_BODY'" in written["shell"]
    assert all(len(constant) < 65_535 for constant in re.findall(r'"(?:\\.|[^"\\])*"', written["java"]))
