"""The command `ponant export`."""

import os
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import NamedTuple

import pytest
from click.testing import CliRunner, Result
from sqlalchemy.orm import Session

from ponant.cli.main import main
from ponant.storage.storage import Storage
from ponant.storage.tables import FineTunedModelRow, FineTuningJobRow
from ponant.training.merge import merge
from tests.tiny_adapter import write_tiny_adapter

MODEL = "ft:tiny:letters:20261121:1a2b3c4d"
FILE = "tiny-letters-20261121-1a2b3c4d-f16.gguf"


class usage(NamedTuple):  # noqa: N801
    total: int
    used: int
    free: int


class Home:
    """Data folder with a fine-tuned model, in a working folder."""

    def __init__(self, folder: Path, model: Path) -> None:
        self.folder = folder
        self.base = model
        self.data = folder / "data"
        self.variables = {"PONANT_DATA_DIR": str(self.data), "PONANT_MODELS": str(model)}
        with closing(Storage.open(self.data)) as storage:
            self.adapter = self._add(storage)

    def _add(self, storage: Storage) -> Path:
        job = FineTuningJobRow(
            id="1a2b3c4d",
            model="tiny",
            base="tiny",
            status="SUCCESS",
            hyperparameters={},
            training_files=[],
            validation_files=[],
            integrations=[],
            auto_start=True,
            invalid_sample_skip_percentage=0,
            created_at=0,
            modified_at=0,
        )
        model = FineTunedModelRow(id=MODEL, job_id=job.id, base="tiny", root="tiny", archived=False, created_at=0)

        def write(session: Session) -> None:
            session.add(job)
            session.flush()
            session.add(model)

        storage.database.write_now(write)
        path = storage.fine_tuned.adapter(model)
        path.parent.mkdir(parents=True)
        return write_tiny_adapter(path)

    def export(self, *arguments: str, **variables: str) -> Result:
        clean = {name: None for name in os.environ if name.startswith("PONANT_")}
        return CliRunner(env=clean | self.variables | variables).invoke(main, ["export", *arguments])

    def refusal(self, *arguments: str, **variables: str) -> str:
        """Return the command's error line; assert that it leaves no file behind."""
        before = sorted(path.name for path in self.folder.iterdir())
        result = self.export(*arguments, **variables)
        assert result.exit_code == 2, result.output
        assert sorted(path.name for path in self.folder.iterdir()) == before
        (line,) = result.stderr.splitlines()
        return line


@pytest.fixture
def home(tmp_path: Path, tiny_model: Path, monkeypatch: pytest.MonkeyPatch) -> Home:
    monkeypatch.chdir(tmp_path)
    return Home(tmp_path, tiny_model)


@pytest.mark.parametrize("weights", ["f16", "q8_0"])
def test_fine_tuned_models_become_one_file(home: Home, weights: str) -> None:
    result = home.export(MODEL, "--weights", weights)

    assert result.exit_code == 0, result.output
    target = home.folder / FILE.replace("f16", weights)
    assert result.stdout.startswith(f"{target.name} (")
    assert result.stderr == ""
    expected = home.folder / "expected.gguf"
    told: list[tuple[int, int]] = []
    merge(
        home.base,
        home.adapter,
        expected,
        weights="f16" if weights == "f16" else "q8_0",
        progress=lambda done, total: told.append((done, total)),
    )
    assert target.read_bytes() == expected.read_bytes()
    assert told == sorted(told)
    assert told[-1][0] == told[-1][1]


def test_files_are_not_overwritten_without_force(home: Home) -> None:
    target = home.folder / "mine.gguf"
    target.write_text("mine")

    assert "--force overwrites it" in home.refusal(MODEL, "-o", str(target))
    assert target.read_text() == "mine"
    assert home.export(MODEL, "-o", str(target), "--force").exit_code == 0
    assert target.read_bytes()[:4] == b"GGUF"
    before = home.base.read_bytes()
    assert "is the base model of" in home.refusal(MODEL, "-o", str(home.base), "--force")
    assert home.base.read_bytes() == before


def test_what_cannot_be_exported_is_refused_with_advice(
    home: Home, monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory
) -> None:
    assert home.refusal("tiny") == f"ponant: there is no fine-tuned model tiny; there is {MODEL}"
    elsewhere = tmp_path_factory.mktemp("elsewhere")
    assert f"there are none in {elsewhere}" in home.refusal(MODEL, PONANT_DATA_DIR=str(elsewhere))
    assert not list(elsewhere.iterdir())
    assert "must be one of the models of the settings" in home.refusal(MODEL, PONANT_MODELS="smollm2")
    assert "there is no folder" in home.refusal(MODEL, "-o", "nowhere/model.gguf")
    with monkeypatch.context() as patch:
        patch.setattr("shutil.disk_usage", lambda _: usage(total=2**30, used=2**30, free=0))
        assert "only 0 MiB are free. Free some" in home.refusal(MODEL)
    home.adapter.write_bytes(b"GGUF damaged")
    assert str(home.adapter) in home.refusal(MODEL)
    home.adapter.unlink()
    assert "is missing" in home.refusal(MODEL)


def test_a_disk_that_gets_full_leaves_nothing(home: Home, full_disk: Callable[[int], Path]) -> None:
    folder = full_disk(64 * 1024)
    with pytest.MonkeyPatch.context() as patch:  # another process fills the disk after the check
        patch.setattr("shutil.disk_usage", lambda _: usage(total=2**30, used=0, free=2**30))
        result = home.export(MODEL, "-o", str(folder / "model.gguf"))

    assert result.exit_code == 1
    assert "the disk is full" in result.stderr
    assert not list(folder.iterdir())
