"""Public collections of schemas: accepted ones are enforced exactly, the others are refused with a reason."""

import json
import re
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from jsonschema.protocols import Validator
from jsonschema.validators import validator_for

from ponant.completion.schemas.checker import SchemaChecker
from ponant.errors import InvalidRequestError
from ponant.prompts.json_schema.rules import NamedSchema
from tests.json_grammar import accepts, documents, in_layout, matcher_of
from tests.soak import SOAK

DATA = Path(__file__).parents[3].parent / "shared" / "data"
SUITE = DATA / "json-schema-test-suite" / "draft2020-12"
REAL = DATA / "json-schemas"

pytestmark = pytest.mark.skipif(not DATA.exists(), reason="the schemas are not there")


@pytest.fixture(scope="module")
async def checker() -> AsyncIterator[SchemaChecker]:
    checker = SchemaChecker(seconds=20)
    yield checker
    await checker.close()


async def refusal(checker: SchemaChecker, schema: dict[str, Any]) -> str | None:
    try:
        await checker.check([NamedSchema("schema", schema)])
    except InvalidRequestError as error:
        return str(error)
    return None


def validator(schema: dict[str, Any]) -> Validator:
    return validator_for(schema, default=jsonschema.Draft202012Validator)(schema)


def violations(schema: dict[str, Any], drawn: list[Any]) -> Iterator[str]:
    """Yield a validator's errors for drawn documents."""
    try:
        for document in drawn:
            for error in validator(schema).iter_errors(document):
                yield f"{document!r}: {error.message}"
    except re.error:
        """Python does not support all regular expressions of ECMAScript."""


def groups() -> list[tuple[str, dict[str, Any]]]:
    """Return the names and the groups of the suite; outside of ``make soak`` every fourth one."""
    found = [
        (f"{path.stem}: {group['description']}", group)
        for path in sorted(SUITE.glob("*.json"))
        for group in json.loads(path.read_text())
        if isinstance(group["schema"], dict)
    ]
    return found if SOAK else found[::4]


async def test_official_suite(checker: SchemaChecker) -> None:
    accepted, taken, valid, faults = 0, 0, 0, []
    for name, group in groups():
        schema = group["schema"]
        if reason := await refusal(checker, schema):
            assert re.fullmatch(r"schema(\.[^:]*)?: .{5,}", reason), reason
            continue
        accepted += 1
        matcher = matcher_of(schema)
        faults += [f"{name}: {violation}" for violation in violations(schema, documents(matcher, count=6))]
        for case in group["tests"]:
            is_taken = accepts(matcher, case["data"])
            if is_taken and not case["valid"]:
                faults.append(f"{name}: {case['description']}: {in_layout(case['data'])!r} is taken")
            valid += case["valid"]
            taken += is_taken
    assert not faults
    print(f"\n{accepted} of {len(groups())} schemas accepted, of their {valid} valid documents {taken} taken")
    assert accepted >= (240 if SOAK else 60)
    assert taken / valid > 0.9


async def test_real_schemas(checker: SchemaChecker) -> None:
    paths = sorted(REAL.glob("*.json"))[:: 1 if SOAK else 4]
    accepted, drawn, faults = 0, 0, []
    for path in paths:
        schema = json.loads(path.read_text())
        if reason := await refusal(checker, schema):
            assert re.fullmatch(r"schema(\.[^:]*)?: .{5,}", reason), reason
            print(f"\n{path.stem}: {reason}")
            continue
        accepted += 1
        found = documents(matcher_of(schema), count=4, steps=1000)
        drawn += len(found)
        faults += [f"{path.stem}: {violation}" for violation in violations(schema, found)]
    assert not faults
    print(f"\n{accepted} of {len(paths)} schemas accepted, {drawn} documents drawn")
    assert accepted >= 0.85 * len(paths)
    assert drawn > 2 * accepted
