"""Files of recorded behaviour, compared or rewritten by tests."""

import difflib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

RECORDED = Path(__file__).parent / "recorded"


@dataclass
class Recording:
    """Recorded files, each compared with the current behaviour.

    Attributes:
        rewrite: True if files are rewritten instead of compared.
        temporary: the folder of this run, which contains the temporary folders of the tests.
    """

    rewrite: bool
    temporary: Path

    def check(self, area: str, cases: Mapping[str, str]) -> None:
        """Compare ``<area>.txt`` with texts by case name, or rewrite it."""
        self._check(f"{area}.txt", "\n".join(f"=== {name}\n{text.rstrip()}\n" for name, text in cases.items()))

    def check_json(self, area: str, value: Any) -> None:
        """Compare ``<area>.json`` with a value, or rewrite it."""
        self._check(f"{area}.json", json.dumps(value, indent=2, ensure_ascii=False) + "\n")

    def _check(self, name: str, text: str) -> None:
        text = re.sub(rf"{re.escape(str(self.temporary))}/[\w.-]+?\d+\b", "<folder>", text)
        file = RECORDED / name
        if self.rewrite:
            file.write_text(text, encoding="utf-8")
            return
        recorded = file.read_text(encoding="utf-8") if file.exists() else ""
        lines = difflib.unified_diff(recorded.splitlines(), text.splitlines(), f"recorded/{name}", "today", lineterm="")
        assert text == recorded, "\n".join(["differs from its recording (see --rewrite)", *lines])
