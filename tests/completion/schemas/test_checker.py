"""Schema checker: hostile schemas are refused without harm, with helpful messages."""

import asyncio
import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from string import ascii_letters
from typing import Any

import psutil
import pytest

from ponant.completion.schemas.checker import SchemaChecker
from ponant.errors import InvalidRequestError
from ponant.prompts.json_schema.rules import NamedSchema

WHERE = "response_format.json_schema.schema"
GOOD = {"type": "object", "properties": {"name": {"type": "string"}}, "required": ["name"]}


def doubling(word: str) -> dict[str, Any]:
    """Return a schema with 2^24 alternatives."""
    choices = [{word: [{"required": [f"a{i}"]}, {"required": [f"b{i}"]}]} for i in range(24)]
    return {"type": "object", "allOf": choices}


def chain(link: dict[str, Any], length: int) -> dict[str, Any]:
    """Return definitions each of which refers to the next."""
    links = {f"d{i}": {**link, "items": {"$ref": f"#/$defs/d{i + 1}"}} for i in range(length)}
    return {"$ref": "#/$defs/d0", "$defs": {**links, f"d{length}": {}}}


def nested(levels: int) -> dict[str, Any]:
    schema: dict[str, Any] = {}
    for _ in range(levels):
        schema = {"items": schema}
    return schema


REFUSED: dict[str, dict[str, Any]] = {
    "doubling anyOf": doubling("anyOf"),
    "doubling oneOf": doubling("oneOf"),
    "a long chain": chain({}, 4000),
    "many fields": {"properties": {f"p{i}": {"type": "string"} for i in range(8000)}},
    "many ways": {"pattern": f"^({'|'.join(f'(.*{letter}.{{{n}}})' for n, letter in enumerate(ascii_letters))})$"},
    "many patterns": {"allOf": [{"type": "string", "pattern": f"a.{{{i}}}b"} for i in range(30)]},
    "multiples": {"allOf": [{"type": "integer", "multipleOf": number} for number in (199, 211, 223)]},
    "a divisor": {"multipleOf": 10**12},
    "too deep": nested(100_000),
    "a bit too deep": nested(64),
    "too large": {"enum": ["x" * 2**20]},
    "too large by names": {"properties": {f"{'p' * 1000}{i}": {} for i in range(300)}},
    "leads back to itself": {"$ref": "#/$defs/a", "$defs": {"a": {"$ref": "#/$defs/b"}, "b": {"$ref": "#/$defs/a"}}},
    "has no end": {"type": "object", "properties": {"a": {"$ref": "#"}}, "required": ["a"]},
    "another server": {"$ref": "http://127.0.0.1:9/schema"},
    "a file": {"$ref": "file:///etc/hostname"},
    "no number": {"minimum": float("nan")},
    "half a character": {"const": "\ud800"},
    "a huge number": {"minimum": 10**400},
    "a number beyond printing": {"minimum": 10**5000},
    "no schema": {"properties": ["a"]},
    "an address that is none": {"$ref": "http://[::1"},
}
HARMLESS: dict[str, dict[str, Any]] = {
    "many items": {"type": "array", "minItems": 10_000, "items": {"type": "array", "minItems": 10_000}},
    "more items": {"type": "array", "minItems": 10**18},
    "a long text": {"type": "string", "maxLength": 10**12},
    "many values": {"enum": [f"value {i}" for i in range(5000)]},
    "a slow regular expression": {"type": "string", "pattern": "^(a+)+$"},
    "repetitions": {"type": "string", "pattern": "((a{1,1000}){1,1000}){1,1000}"},
    "many definitions": {
        "$ref": "#/$defs/d0",
        "$defs": {f"d{i}": {"anyOf": [{"$ref": f"#/$defs/d{i + 1}"}] * 2} for i in range(40)} | {"d40": {}},
    },
}


@contextlib.asynccontextmanager
async def opened(**options: Any) -> AsyncIterator[SchemaChecker]:
    """Create a checker for the duration of the block."""
    checker = SchemaChecker(**options)
    try:
        yield checker
    finally:
        await checker.close()


async def process_of(checker: SchemaChecker) -> int:
    """Return the id of a checker's process, started by a good schema."""
    await refusal(checker, GOOD)
    assert checker.process_id
    return checker.process_id


@pytest.fixture(scope="module")
async def checker() -> AsyncIterator[SchemaChecker]:
    async with opened() as checker:
        yield checker


@pytest.fixture(scope="module")
async def patient() -> AsyncIterator[SchemaChecker]:
    """Checker with a timeout that a busy machine does not exceed."""
    async with opened(seconds=20) as checker:
        yield checker


async def refusal(checker: SchemaChecker, schema: dict[str, Any], where: str = WHERE) -> str | None:
    try:
        await checker.check([NamedSchema(where, schema)])
    except InvalidRequestError as error:
        assert (error.kind, error.param) == ("invalid_request_error", where)
        return str(error).removeprefix(where)
    return None


@pytest.mark.parametrize("name", REFUSED)
async def test_hostile_schema_is_refused_and_the_next_one_answered(checker: SchemaChecker, name: str) -> None:
    reason = await refusal(checker, REFUSED[name])
    assert reason
    assert len(reason) < 600
    assert await refusal(checker, {**GOOD, "title": name}) is None


@pytest.mark.parametrize("name", HARMLESS)
async def test_schema_that_only_looks_hostile_is_answered(patient: SchemaChecker, name: str) -> None:
    assert await refusal(patient, HARMLESS[name]) is None


@pytest.mark.parametrize(
    ("schema", "reason"),
    [
        pytest.param(
            {"properties": {"tags": {"type": "array", "uniqueItems": True}}},
            '.properties.tags: "uniqueItems" is not supported for items with many possible values',
            id="a word",
        ),
        pytest.param(
            {"items": {"anyOf": [{}, {"$ref": "#/$defs/t"}]}, "$defs": {"t": {"contains": {}}}},
            '.$defs.t: "contains" is not supported',
            id="behind a reference",
        ),
        pytest.param(
            {"type": "object", "properties": {"a": {"$ref": "#"}}, "required": ["a"]},
            ".properties.a: it is too complex to follow, or its documents have no end",
            id="no end",
        ),
        pytest.param(
            {
                "type": "object",
                "properties": {"a": {"type": "string", "minLength": 3, "maxLength": 2}},
                "required": ["a"],
            },
            ".properties.a: no document can satisfy it: minLength (3) is greater than maxLength (2)",
            id="what llguidance says",
        ),
        pytest.param(
            {
                "type": "object",
                "required": ["list"],
                "properties": {
                    "list": {"type": "array", "minItems": 1, "items": {"allOf": [{"type": "null"}, {"type": "object"}]}}
                },
            },
            ".properties.list.items: no document can satisfy it: incompatible types",
            id="the innermost that fails by itself",
        ),
        pytest.param({"pattern": "(a"}, ": a regular expression: unclosed group", id="a regular expression"),
        pytest.param(
            {"pattern": r"(a)(?=\1)"},
            ': the regular expression of "pattern": references to groups are not supported',
            id="a reference to a group",
        ),
        pytest.param(REFUSED["many ways"], ": a regular expression is too complex", id="a regular expression's ways"),
        pytest.param(
            {"patternProperties": {"a": {}, "b": {}}},
            ': regular expressions of "patternProperties" may match the same names, which is not supported',
            id="names that two patterns match",
        ),
        pytest.param(
            {"oneOf": [{"multipleOf": 2}, {"multipleOf": 3}]},
            ': alternatives 0 and 1 of "oneOf" may both hold, which is not supported',
            id="alternatives",
        ),
        pytest.param(nested(64), ": it is nested more than 64 levels deep", id="depth"),
        pytest.param(
            {"title": "x" * 300_000},
            ": it is too large: the schemas of a request may have 256 kB of JSON together",
            id="size",
        ),
        pytest.param(doubling("anyOf"), ": it is too large when its alternatives are written out", id="alternatives"),
        pytest.param(
            {"multipleOf": 0.01},
            ': "multipleOf": 0.01 is not supported, because JSON readers would round some of its multiples; '
            "whole numbers, halves, quarters and so on are supported",
            id="a decimal",
        ),
    ],
)
async def test_message_names_the_part(patient: SchemaChecker, schema: dict[str, Any], reason: str) -> None:
    assert await refusal(patient, schema) == reason


async def test_limit_of_time_is_said_and_remembered() -> None:
    slow = REFUSED["many patterns"]
    async with opened(seconds=0.2) as checker:
        assert await refusal(checker, slow) == ": it takes longer than 0.2 s to compile"
        assert checker.process_id is None
        assert await refusal(checker, slow, "tools.0") == ": it takes longer than 0.2 s to compile"
        assert checker.process_id is None


async def test_limit_of_memory_is_said() -> None:
    async with opened(seconds=20, memory=4 * 2**20) as checker:
        many = {"enum": [f"value {i}" for i in range(8000)]}
        assert await refusal(checker, many) == ": it takes more than 4 MB of memory to compile"
        assert await refusal(checker, GOOD) is None


async def test_schemas_of_a_request_share_the_time_but_not_the_blame() -> None:
    async with opened() as checker:
        with pytest.raises(InvalidRequestError, match=r"^b: the schemas of the request take longer than 1 s") as info:
            await checker.check([NamedSchema("a", GOOD), NamedSchema("b", REFUSED["many patterns"])])
        assert info.value.param == "b"
        assert await refusal(checker, REFUSED["many patterns"]) == ": it takes longer than 1 s to compile"


async def test_schemas_of_a_request_share_the_size(checker: SchemaChecker) -> None:
    half = [NamedSchema(where, {"title": where * 150_000}) for where in "ab"]
    await checker.check(half[:1])
    with pytest.raises(InvalidRequestError, match=r"^b: it is too large"):
        await checker.check(half)


async def test_keywords_that_are_left_out_are_named_in_the_log(
    checker: SchemaChecker, caplog: pytest.LogCaptureFixture
) -> None:
    parts = {"a": {"type": "string", "pattern": r"(a)\1", "maxLength": 9}, "b": {"items": {"uniqueItems": True}}}
    loose = NamedSchema("tools[0].function.parameters", {"type": "object", "properties": parts}, strict=False)
    with caplog.at_level("WARNING", "ponant.schemas"):
        await checker.check([loose])
    assert [vars(record)["keywords"] for record in caplog.records] == [
        "tools[0].function.parameters.properties.a.pattern tools[0].function.parameters.properties.b.items.uniqueItems"
    ]
    for schema in (loose.schema, {"type": "object", "properties": {"a": {"pattern": "[a"}}}):
        with pytest.raises(InvalidRequestError, match="the regular expression"):
            await checker.check([NamedSchema("a", schema, strict=schema is loose.schema)])


HOST = r"^(?=.{4,253}$)((?!-)[a-zA-Z0-9-]{1,63}(?<!-)\.)+[a-zA-Z]{2,63}$"
TEXT = {"type": "string"}
TOO_HARD: dict[str, tuple[dict[str, Any], dict[str, Any], str]] = {
    "a regular expression": ({**TEXT, "pattern": HOST, "maxLength": 50}, {**TEXT, "maxLength": 50}, "pattern"),
    "within alternatives": (
        {"anyOf": [{**TEXT, "pattern": HOST}, {"type": "null"}]},
        {"anyOf": [TEXT, {"type": "null"}]},
        "anyOf.0.pattern",
    ),
    "a number": ({"type": "number", "minimum": 1e300}, {"type": "number"}, "minimum"),
    "a divisor": ({"multipleOf": 10**12}, {}, "multipleOf"),
    "another server": (REFUSED["another server"], REFUSED["another server"], "$ref"),
    "an anchor": ({"$ref": "#text"}, {"$ref": "#text"}, "$ref"),
}


@pytest.mark.parametrize("name", TOO_HARD)
async def test_only_the_keyword_at_fault_is_left_out_of_a_tool(
    patient: SchemaChecker, caplog: pytest.LogCaptureFixture, name: str
) -> None:
    part, usable, keyword = TOO_HARD[name]
    other = {**TEXT, "pattern": "^[ab]$"}
    schema = {"type": "object", "properties": {"a": part, "b": other}}
    with caplog.at_level("WARNING", "ponant.schemas"):
        (found,) = await patient.check([NamedSchema("tool", schema, strict=False)])
    assert found["properties"] == {"a": usable, "b": other}
    assert [vars(record)["keywords"] for record in caplog.records] == [f"tool.properties.a.{keyword}"]
    assert await patient.check([NamedSchema("tool", schema, strict=False)]) == [found]
    with pytest.raises(InvalidRequestError):
        await patient.check([NamedSchema("tool", {**schema, "title": name})])


async def test_tool_whose_schema_takes_too_long_is_used_without_regular_expressions() -> None:
    async with opened(seconds=0.3) as checker:
        slow = {"type": "object", "properties": {"a": REFUSED["many patterns"]}}
        (found,) = await checker.check([NamedSchema("tool", slow, strict=False)])
        assert found == {"type": "object", "properties": {"a": {"allOf": [TEXT] * 30}}}
        assert await checker.check([NamedSchema("tool", slow, strict=False)]) == [found]


@pytest.mark.parametrize("part", [{"pattern": "(a"}, {"minLength": 3, "maxLength": 2}, {"$ref": "#/$defs/none"}])
async def test_mistake_in_the_schema_of_a_tool_is_refused(patient: SchemaChecker, part: dict[str, Any]) -> None:
    schema = {"type": "object", "properties": {"a": {**TEXT, **part}}, "required": ["a"]}
    with pytest.raises(InvalidRequestError, match=r"^tool\.properties\.a: "):
        await patient.check([NamedSchema("tool", schema, strict=False)])


async def test_known_schema_needs_no_process() -> None:
    bad = {"uniqueItems": True}
    async with opened(remembered=2) as checker:
        assert checker.process_id is None
        assert await refusal(checker, GOOD) is None
        assert await refusal(checker, bad) == ': "uniqueItems" is not supported for items with many possible values'
        assert checker.process_id is not None
        os.kill(checker.process_id, signal.SIGSTOP)
        assert await refusal(checker, GOOD) is None
        assert (
            await refusal(checker, bad, "tools.1")
            == ': "uniqueItems" is not supported for items with many possible values'
        )
        os.kill(checker.process_id, signal.SIGCONT)
        await checker.check([NamedSchema("many", {"title": str(i)}) for i in range(5)])


async def test_process_that_was_killed_is_replaced() -> None:
    async with opened() as checker:
        first = await process_of(checker)
        os.kill(first, signal.SIGKILL)
        assert await refusal(checker, {**GOOD, "title": "after"}) is None
        assert checker.process_id not in (first, None)
        os.kill(checker.process_id or 0, signal.SIGSTOP)
        asked = asyncio.create_task(refusal(checker, {**GOOD, "title": "under way"}))
        await asyncio.sleep(0.05)
        os.kill(checker.process_id or 0, signal.SIGKILL)
        assert await asked is None


async def test_process_that_hangs_is_replaced(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ponant.completion.schemas.checker._STILL_SECONDS", 0.4)
    async with opened() as checker:
        first = await process_of(checker)
        os.kill(first, signal.SIGSTOP)
        assert await refusal(checker, {**GOOD, "title": "after"}) is None
        assert checker.process_id not in (first, None)


async def test_cancelled_check_does_not_disturb_others() -> None:
    async with opened(seconds=5) as checker:
        slow = asyncio.create_task(refusal(checker, REFUSED["many patterns"]))
        waiting = asyncio.create_task(refusal(checker, GOOD))
        await asyncio.sleep(0.3)
        slow.cancel()
        assert await waiting is None
        assert await refusal(checker, {"contains": {}}) == ': "contains" is not supported'


async def test_many_checks_at_once() -> None:
    hostile = [REFUSED["many patterns"], REFUSED["doubling anyOf"], REFUSED["too deep"], REFUSED["another server"]]
    asked = [hostile[i % 5] if i % 5 < 4 else {**GOOD, "title": str(i)} for i in range(20)]
    async with opened() as checker:
        answers = await asyncio.gather(*(refusal(checker, schema, f"tools.{i}") for i, schema in enumerate(asked)))
        assert [answer is None for answer in answers] == [i % 5 == 4 for i in range(20)]


async def test_no_process_is_left_behind() -> None:
    checker = SchemaChecker()
    process = await process_of(checker)
    await checker.close()
    assert not psutil.pid_exists(process)
    with pytest.raises(RuntimeError):
        await checker.check([NamedSchema(WHERE, {"title": "late"})])


PARENT = f"""
import asyncio
from ponant.completion.schemas.checker import SchemaChecker
from ponant.prompts.json_schema.rules import NamedSchema

async def main():
    checker = SchemaChecker()
    await checker.check([NamedSchema("schema", {GOOD!r})])
    print(checker.process_id, flush=True)
    await asyncio.sleep(60)

asyncio.run(main())
"""


async def test_process_ends_with_its_parent() -> None:
    parent = subprocess.Popen([sys.executable, "-c", PARENT], stdout=subprocess.PIPE, text=True)
    try:
        assert parent.stdout
        child = psutil.Process(int(parent.stdout.readline()))
    finally:
        parent.kill()
        parent.communicate()
    await asyncio.to_thread(psutil.wait_procs, [child], timeout=5)
    assert not child.is_running()


async def test_process_is_modest(checker: SchemaChecker) -> None:
    await refusal(checker, {"title": "started"})
    process = psutil.Process(checker.process_id)
    assert process.nice() > psutil.Process().nice()
    limit, _ = process.rlimit(psutil.RLIMIT_AS)
    assert 256 * 2**20 < limit < 384 * 2**20
    if Path("/proc").exists():
        assert not process.net_connections()
