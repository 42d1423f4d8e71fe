"""Imports follow the table of rooms in ``docs/architecture.md``: downward only, without cycles."""

import ast
import re
from collections import Counter
from collections.abc import Iterator
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
SOURCE = ROOT / "src"
PAGE = ROOT / "docs" / "architecture.md"
EXCEPTIONS = {("ponant.client.sdk", "ponant.local")}
"""Exempt import: ``Mistral.local`` loads the application in the client's process when it is called."""
PUBLIC_USERS = {"cli"}
"""Rooms that import the public package itself, as its users do."""


def modules() -> dict[str, Path]:
    """Return all modules by their dotted names."""
    paths = SOURCE.rglob("*.py")
    return {".".join(path.relative_to(SOURCE).with_suffix("").parts).removesuffix(".__init__"): path for path in paths}


MODULES = modules()


def rooms() -> dict[str, set[str]]:
    """Return the rooms of the table from top to bottom, each with the rooms that it may import.

    A room is a package or a module of ``ponant``; a row may name several.
    """
    rows = re.findall(r"^\| (`[^|]+) \|[^|]+\| ([^|]*) \|$", PAGE.read_text(), re.MULTILINE)
    found: dict[str, set[str]] = {}
    for names, imports in rows:
        for name in _names(names):
            found[name] = set(_names(imports))
    return found


def _names(cell: str) -> list[str]:
    return [name.rstrip("/").removesuffix(".py") for name in re.findall(r"`([\w/.]+)`", cell)]


ROOMS = rooms()


def room_of(module: str) -> str:
    """Return the room of a module: the longest one that is a prefix of its name."""
    name = module.removeprefix("ponant").removeprefix(".").replace(".", "/")
    found = [room for room in ROOMS if name == room or name.startswith(f"{room}/")]
    assert found or not name, f"{module} is in no room of {PAGE.name}"
    return max(found, key=len, default="")


def imports_of(module: str) -> Iterator[str]:
    """Return the modules of ``ponant`` that a module imports at run time, at any depth of its code."""
    for node in ast.walk(ast.parse(MODULES[module].read_text())):
        names: list[str] = []
        if isinstance(node, ast.ImportFrom) and node.module:
            inner = [f"{node.module}.{alias.name}" for alias in node.names]
            names = [name if name in MODULES else node.module for name in inner]
        elif isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        yield from (name for name in names if name.partition(".")[0] == "ponant")


def is_exception(importer: str, imported: str) -> bool:
    return any(importer == one and imported.startswith(other) for one, other in EXCEPTIONS)


def test_table_has_no_circle_and_reads_downward() -> None:
    order = list(ROOMS)
    assert len(order) > 15
    for room, imported in ROOMS.items():
        assert imported <= set(ROOMS), f"{room} imports rooms that the table does not have"
        upward = [other for other in imported if order.index(other) <= order.index(room)]
        assert not upward, f"{room} imports what stands above it: {upward}"


@pytest.mark.parametrize("module", sorted(MODULES))
def test_module_imports_what_its_room_may(module: str) -> None:
    room = room_of(module)
    for imported in imports_of(module):
        other = room_of(imported)
        if room and not other:
            assert room in PUBLIC_USERS, f"{module} imports the public package"
        elif room and other != room and not is_exception(module, imported):
            assert other in ROOMS[room], f"{module} imports {imported}: {room} may not import {other}"


def test_modules_import_each_other_in_no_circle() -> None:
    graph = {
        module: {name for name in imports_of(module) if name != module and not is_exception(module, name)}
        for module in MODULES
        if module != "ponant"  # it only names the client's public classes
    }
    TopologicalSorter(graph).prepare()


def test_every_room_is_there() -> None:
    for room in ROOMS:
        assert (SOURCE / "ponant" / room).is_dir() or (SOURCE / "ponant" / f"{room}.py").is_file(), room


def test_no_two_classes_have_one_name() -> None:
    names = [
        node.name
        for path in MODULES.values()
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.ClassDef)
    ]
    assert [name for name, times in Counter(names).items() if times > 1] == []


@pytest.mark.parametrize("module", sorted(MODULES))
def test_file_has_one_subject(module: str) -> None:
    assert len(MODULES[module].read_text().splitlines()) <= 400
