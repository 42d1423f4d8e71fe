"""Code on pages of the documentation."""

import contextlib
import io
import re
from pathlib import Path
from typing import Any


def code_blocks(page: Path) -> list[str]:
    """Return the Python blocks of a page."""
    return re.findall(r"^```python\n(.*?)^```", page.read_text(), re.MULTILINE | re.DOTALL)


def run_block(code: str, names: dict[str, Any] | None = None) -> str:
    """Run a block and return its output. ``names`` has the names of earlier blocks, and receives those of this one."""
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        exec(compile(code, "page", "exec"), {"__name__": "page"} if names is None else names)
    return printed.getvalue()
