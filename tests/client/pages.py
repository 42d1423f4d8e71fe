"""The code on pages of documentation, and running it."""

import contextlib
import io
import re
from pathlib import Path
from typing import Any


def code_blocks(page: Path) -> list[str]:
    """The Python code of a page, block by block."""
    return re.findall(r"^```python\n(.*?)^```", page.read_text(), re.MULTILINE | re.DOTALL)


def run_block(code: str, names: dict[str, Any] | None = None) -> str:
    """What a block prints. ``names`` are those that earlier blocks have defined, and gets those of this one."""
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        exec(compile(code, "page", "exec"), {"__name__": "page"} if names is None else names)
    return printed.getvalue()
