"""Wheel with the files of the pages."""

import subprocess
import sys
import zipfile
from pathlib import Path

from ponant.pages import vendor
from ponant.pages.folders import STATIC

ROOT = Path(__file__).parents[1]


def test_wheel_has_the_pages_and_their_libraries(tmp_path: Path) -> None:
    options = ["--quiet", "--disable-pip-version-check", "--no-deps", "--wheel-dir", str(tmp_path)]
    subprocess.run([sys.executable, "-m", "pip", "wheel", *options, str(ROOT)], check=True)
    (wheel,) = tmp_path.glob("ponant-*.whl")
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
    libraries = {f"ponant/pages/vendor/{path}" for library in vendor.libraries() for path in library.files.values()}
    pages = {f"ponant/pages/static/{path.relative_to(STATIC)}" for path in STATIC.rglob("*") if path.is_file()}
    assert libraries | pages <= names
    assert not [name for name in names if "axe" in name]
