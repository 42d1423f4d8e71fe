"""Files of recorded behaviour, which tests compare with or rewrite."""

import difflib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

RECORDED = Path(__file__).parent / "recorded"


@dataclass
class Recording:
    """The recorded files, each compared with today's behaviour.

    Attributes:
        rewrite: True if files are rewritten instead of compared.
        replacements: paths and other texts of this run, and the names that stand for them in the files.
    """

    rewrite: bool
    replacements: dict[str, str] = field(default_factory=dict[str, str])

    def check(self, area: str, cases: Mapping[str, str]) -> None:
        """Compare ``<area>.txt`` with texts by the names of their cases, or rewrite it."""
        self._check(f"{area}.txt", "\n".join(f"=== {name}\n{text.rstrip()}\n" for name, text in cases.items()))

    def check_json(self, area: str, value: Any) -> None:
        """Compare ``<area>.json`` with a value, or rewrite it."""
        self._check(f"{area}.json", json.dumps(value, indent=2, ensure_ascii=False) + "\n")

    def _check(self, name: str, text: str) -> None:
        for of_this_run, said in self.replacements.items():
            text = text.replace(of_this_run, said)
        file = RECORDED / name
        if self.rewrite:
            file.write_text(text, encoding="utf-8")
            return
        recorded = file.read_text(encoding="utf-8") if file.exists() else ""
        lines = difflib.unified_diff(recorded.splitlines(), text.splitlines(), f"recorded/{name}", "today", lineterm="")
        assert text == recorded, "\n".join(["differs from its recording (see --rewrite)", *lines])
