"""Sizes of JSON texts."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ponant.server import json_size as module
from ponant.server.json_size import JsonSize, json_size

NOTHING = JsonSize(0, 0)
TEXTS = st.text(st.sampled_from('\\"[]{},:a\n'), max_size=12)
DOCUMENTS = st.recursive(
    st.none() | st.integers() | TEXTS,
    lambda parts: st.lists(parts, max_size=4) | st.dictionaries(TEXTS, parts, max_size=4),
    max_leaves=30,
)


def parsed_size(value: Any) -> JsonSize:
    """Count the parts of a parsed value."""
    if not isinstance(value, list | dict):
        return JsonSize(1, 0)
    inner = [parsed_size(part) for part in (value.values() if isinstance(value, dict) else value)]
    members = len(value) if isinstance(value, dict) else 0
    return JsonSize(1 + sum(size.values for size in inner), 1 + members + sum(size.parts for size in inner))


@given(DOCUMENTS, st.integers(1, 20))
def test_size_is_that_of_the_parsed_text(document: Any, piece: int) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "_PIECE", piece)
        text = json.dumps(document, ensure_ascii=False).encode()
        exact, real = json_size(text, NOTHING), parsed_size(document)
        assert exact.parts == real.parts
        assert real.values <= exact.values <= real.values + text.count(b"[]") + text.count(b"{}")
        bound = json_size(text, JsonSize(10**9, 10**9))
        assert bound.values >= real.values
        assert bound.parts >= real.parts


def test_text_within_the_limit_is_not_searched_for_strings(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_without_texts", None)
    assert json_size(b'{"a": [1, 2]}', JsonSize(10, 10)) == JsonSize(4, 3)
