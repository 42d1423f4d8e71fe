"""Descriptions of training runs, made from jobs and their base models."""

from pathlib import Path

import pytest

from ponant.api.fine_tuning import JobIn
from ponant.catalog.served import ServedModel
from ponant.fine_tuning.runs import CannotRunError, clean_run, describe_run, refresh_run
from ponant.model_settings import ModelSettings
from ponant.server.wiring import make_catalog
from ponant.settings import Settings
from ponant.training.job import TrainingRun, read_run, write_run
from ponant.weights.errors import ModelNotFoundError


async def test_training_weights_of_the_settings_are_trained_on(tmp_path: Path, tiny_model: Path) -> None:
    weights = tmp_path / "weights"
    settings = Settings(
        models=[ModelSettings(source=str(tiny_model), training_weights=weights)], data_dir=tmp_path, preload="none"
    )
    with pytest.raises(ModelNotFoundError, match=r"training_weights .*weights is not a Hugging Face model folder"):
        make_catalog(settings)
    weights.mkdir()
    (weights / "config.json").touch()
    catalog = make_catalog(settings)
    await catalog.open()
    served = catalog.find("tiny")
    assert isinstance(served, ServedModel)

    run = describe_run(
        JobIn.model_validate({"model": "tiny", "training_files": [], "hyperparameters": {}}), served, tmp_path, [], []
    )

    assert run.weights == str(weights)
    write_run(run, tmp_path)
    without = make_catalog(settings.model_copy(update={"models": [ModelSettings(source=str(tiny_model))]}))
    await without.open()
    refresh_run(tmp_path, without, "tiny")
    assert read_run(tmp_path).weights is None
    for opened in (catalog, without):
        await opened.close()


async def test_a_model_that_took_the_name_of_a_base_is_not_trained_in_its_place(
    tmp_path: Path, tiny_model: Path
) -> None:
    renamed = ModelSettings(source=str(tiny_model), id="other", aliases=["tiny"])
    catalog = make_catalog(Settings(models=[renamed], data_dir=tmp_path, preload="none"))
    await catalog.open()
    base = tmp_path / "base.gguf"
    write_run(TrainingRun(str(base), str(tmp_path), []), tmp_path)

    with pytest.raises(CannotRunError, match=r"tiny is no longer served, and .*base\.gguf no longer exists"):
        refresh_run(tmp_path, catalog, "tiny")
    base.touch()
    refresh_run(tmp_path, catalog, "tiny")

    assert read_run(tmp_path).model == str(base)
    await catalog.close()


def test_of_a_job_at_its_end_nothing_half_written_is_left(tmp_path: Path) -> None:
    """The description of a run can contain an API key."""
    for name in ("samples", "checkpoints", "adapter.part", "adapter"):
        (tmp_path / name).mkdir()
    for name in ("run.json", "run.json.part", ".adapter.gguf.part", "adapter.gguf", "metrics.csv"):
        (tmp_path / name).touch()

    clean_run(tmp_path, keep_model=True)
    assert {path.name for path in tmp_path.iterdir()} == {"adapter", "adapter.gguf", "metrics.csv"}

    clean_run(tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == {"metrics.csv"}


def test_of_a_long_log_the_end_is_kept(tmp_path: Path) -> None:
    log = tmp_path / "trainer.log"
    log.write_bytes(b"a" * 1_000_000 + b"the reason")
    clean_run(tmp_path)
    assert log.stat().st_size == 2**16
    assert log.read_bytes().endswith(b"a" * 100 + b"the reason")
