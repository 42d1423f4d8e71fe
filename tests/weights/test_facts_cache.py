"""The cache of facts about model files."""

from pathlib import Path

from ponant.weights.facts_cache import FactsCache


def test_cache_that_cannot_be_replaced_leaves_no_files(tmp_path: Path, tiny_model: Path) -> None:
    (tmp_path / ".facts.json" / "in-the-way").mkdir(parents=True)
    cache = FactsCache(tmp_path / ".facts.json")
    cache.facts(tiny_model)
    cache.save()
    assert [path.name for path in tmp_path.iterdir()] == [".facts.json"]


def test_deeply_nested_cache_is_ignored(tmp_path: Path, tiny_model: Path) -> None:
    file = tmp_path / ".facts.json"
    file.write_bytes(b'{"reader": 1, "x": ' + b"[" * 100_000 + b"]" * 100_000 + b"}")
    assert FactsCache(file).facts(tiny_model).kind == "chat"
