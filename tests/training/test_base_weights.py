"""Copies of base weights for training."""

from pathlib import Path

from tests.training.extra import skip_without_training

skip_without_training()


def test_what_a_killed_process_left_of_a_copy_is_removed_with_the_next_one(tmp_path: Path, tiny_model: Path) -> None:
    import torch

    from ponant.training.base_weights import load_base

    left = tmp_path / ".part-killed"
    left.mkdir()
    (left / "model.safetensors").write_bytes(b"half of it")

    load_base(tiny_model, tmp_path, dtype=torch.float32)

    assert not left.exists()
    (copy,) = [path for path in tmp_path.iterdir() if path.is_dir()]
    assert (copy / "model.safetensors").is_file()
