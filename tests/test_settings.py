"""Settings from the environment, the file and flags."""

import subprocess
import sys
from pathlib import Path

import pytest

from ponant.settings import read_settings


@pytest.fixture(autouse=True)
def _empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


@pytest.mark.parametrize("name", ["PONANT_API_KEY", "PONANT_API_KEYS"])
def test_keys_come_from_the_environment_under_either_name(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(name, "first, second")
    assert read_settings(None).api_keys == ["first", "second"]
    assert read_settings(None, api_keys=["flag"]).api_keys == ["flag"]


def test_keys_come_from_the_file(tmp_path: Path) -> None:
    (tmp_path / "ponant.toml").write_text('api_keys = ["from the file"]')
    assert read_settings(None).api_keys == ["from the file"]


def test_addresses_of_environments_have_no_slash_at_their_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(
        "PONANT_ENVIRONMENTS", '{"Develop Env": "https://dev.example/", "Here": "http://[::1]:8001/api"}'
    )
    assert read_settings(None).environments == {"Develop Env": "https://dev.example", "Here": "http://[::1]:8001/api"}


@pytest.mark.parametrize(
    "address",
    [
        "dev.example",
        "ftp://dev.example",
        "https://dev.example; script-src *",
        "https://*",
        "https://a@b",
        "https://a?b",
    ],
)
def test_addresses_that_a_policy_cannot_name_are_refused(address: str) -> None:
    with pytest.raises(ValueError, match="give scheme, host and path"):
        read_settings(None, environments={"Develop Env": address})


def test_settings_import_nothing_else_of_the_package() -> None:
    program = "import sys, ponant.settings; print(*sorted(name for name in sys.modules if name.startswith('ponant')))"
    loaded = subprocess.run([sys.executable, "-c", program], capture_output=True, check=True, text=True).stdout.split()
    settings = ["ponant.model_settings", "ponant.setting_values", "ponant.settings"]
    assert loaded == ["ponant", "ponant._version", *settings]


@pytest.mark.parametrize(("given", "meant"), [("true", "truncate"), ("false", "refuse")])
def test_old_name_of_a_setting_works_and_warns(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, given: str, meant: str
) -> None:
    (tmp_path / "ponant.toml").write_text(f'models = [{{ source = "a.gguf", truncate = {given} }}]')
    (model,) = read_settings(None).models
    assert (model.long_texts, model.truncate) == (meant, None)
    assert "truncate is deprecated" in caplog.text
    with pytest.raises(ValueError, match="are one setting"):
        read_settings(None, models=[{"source": "a.gguf", "truncate": True, "long_texts": "mean"}])
