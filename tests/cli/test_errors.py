"""Errors in settings of all sources: one line that names the source."""

from pathlib import Path
from typing import Any

import pytest

from ponant.cli.errors import BAD_USAGE, exit_on_bad_settings
from ponant.settings import read_settings


@pytest.fixture(autouse=True)
def _empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def told(capsys: pytest.CaptureFixture[str], file: Path | None = None, **flags: Any) -> str:
    """Return the error line of a command with these settings."""
    with pytest.raises(SystemExit) as ended, exit_on_bad_settings(file):
        read_settings(file, **flags)
    assert ended.value.code == BAD_USAGE
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("ponant: ")
    return line


@pytest.mark.parametrize(
    ("name", "value"), [("kv_memory", "much"), ("context", 0), ("parallel", 0), ("threads", -1), ("port", 65536)]
)
def test_values_of_flags_that_cannot_be_are_told(name: str, value: Any, capsys: pytest.CaptureFixture[str]) -> None:
    assert name in told(capsys, **{name: value})


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (None, "settings.toml"),
        (b"port = = 1", "settings.toml"),
        (b"port = '\xff'", "settings.toml"),
        (b"colour = 'blue'", "colour"),
        (b"parallel = 'many'", "parallel"),
        (b"[aliases]\nname = 1", "aliases.name"),
    ],
    ids=["missing", "no TOML", "no UTF-8", "unknown key", "wrong value", "wrong value inside"],
)
def test_bad_settings_file_is_told_with_the_place(
    tmp_path: Path, content: bytes | None, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "settings.toml"
    if content is not None:
        file.write_bytes(content)
    assert said in told(capsys, file)


@pytest.mark.parametrize(("name", "value"), [("parallel", "many"), ("aliases", "no JSON")])
def test_bad_settings_in_the_environment_are_told(
    name: str, value: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv(f"PONANT_{name.upper()}", value)
    assert name in told(capsys)


@pytest.mark.parametrize("flags", [{"api_keys": [""]}, {"api_keys": ["key", " \t"]}, {"api_keys": ["a\nb"]}])
def test_blank_keys_of_flags_are_refused(flags: dict[str, Any], capsys: pytest.CaptureFixture[str]) -> None:
    assert told(capsys, **flags).startswith("ponant: api_keys: a key ")


@pytest.mark.parametrize("name", ["PONANT_API_KEY", "PONANT_API_KEYS"])
@pytest.mark.parametrize("value", ["", " ", "key,,other", '[""]', "k\x7f"])
def test_blank_keys_of_the_environment_are_refused(
    name: str, value: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv(name, value)
    assert ": a key " in told(capsys)


@pytest.mark.parametrize("value", ['""', '[""]', '["key", "  "]'])
def test_blank_keys_of_the_file_are_refused(tmp_path: Path, value: str, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "settings.toml"
    file.write_text(f"api_keys = {value}")
    assert told(capsys, file).startswith("ponant: api_keys: a key ")


def test_errors_of_settings_name_the_setting_or_begin_with_the_reason(capsys: pytest.CaptureFixture[str]) -> None:
    assert told(capsys, strict=True, dialect="nim").startswith("ponant: strict applies to the Mistral API")
    assert told(capsys, cors_origins="[x").startswith("ponant: cors_origins: not a list in JSON")
