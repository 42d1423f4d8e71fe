"""Imports follow the table of rooms in ``docs/architecture.md``: downward only, without cycles."""

import ast
import re
from collections import Counter
from functools import cache
from graphlib import TopologicalSorter
from pathlib import Path

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


@cache
def imports_of(module: str) -> tuple[str, ...]:
    """Return the modules of ``ponant`` that a module imports at run time, at any depth of its code."""
    names: list[str] = []
    for node in ast.walk(ast.parse(MODULES[module].read_text())):
        if isinstance(node, ast.ImportFrom) and node.module:
            inner = [f"{node.module}.{alias.name}" for alias in node.names]
            names += [name if name in MODULES else node.module for name in inner]
        elif isinstance(node, ast.Import):
            names += [alias.name for alias in node.names]
    return tuple(name for name in names if name.partition(".")[0] == "ponant")


def is_exception(importer: str, imported: str) -> bool:
    return any(importer == one and imported.startswith(other) for one, other in EXCEPTIONS)


def test_table_has_no_circle_and_reads_downward() -> None:
    order = list(ROOMS)
    assert len(order) > 15
    for room, imported in ROOMS.items():
        assert imported <= set(ROOMS), f"{room} imports rooms that the table does not have"
        upward = [other for other in imported if order.index(other) <= order.index(room)]
        assert not upward, f"{room} imports what stands above it: {upward}"


def test_modules_import_what_their_rooms_may() -> None:
    wrong = []
    for module in MODULES:
        room = room_of(module)
        for imported in imports_of(module) if room else ():
            other = room_of(imported)
            allowed = ROOMS[room] | {room} | ({""} if room in PUBLIC_USERS else set())
            if other not in allowed and not is_exception(module, imported):
                wrong.append(f"{module} imports {imported}: {room} may not import {other or 'the public package'}")
    assert not wrong, "\n".join(wrong)


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


def test_files_are_short() -> None:
    pages = [path for path in (SOURCE / "ponant" / "pages" / "static").rglob("*") if path.is_file()]
    assert len(pages) > 10
    assert [str(path) for path in (*MODULES.values(), *pages) if len(path.read_text().splitlines()) > 400] == []
