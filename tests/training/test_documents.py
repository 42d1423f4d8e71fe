"""Datasets on the page about fine-tuning are valid."""

import re
from pathlib import Path

import pytest

from tests.tiny_model import write_tiny_model
from tests.training.encoders import Model

PAGE = Path(__file__).parents[2] / "docs" / "fine-tuning.md"
LINES = re.findall(r"```json\n(.+)\n```", PAGE.read_text())


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Model:
    path = tmp_path_factory.mktemp("models") / "fim.gguf"
    controls = {f"<|fim_{part}|>": f"fim_{part[:3]}" for part in ("prefix", "suffix", "middle")}
    write_tiny_model(path, context_length=8192, more_controls=controls)
    return Model(path)


ANSWERS = [["Rome, captain!"], ["Rome."], ['"city": "Nantes"', "It is 18 degrees in Nantes."], ["x * x"]]
"""Parts of the learned text of each line."""


@pytest.mark.parametrize(("line", "answers"), list(zip(LINES, ANSWERS, strict=True)))
def test_the_lines_of_the_page_are_learned(model: Model, line: str, answers: list[str]) -> None:
    samples = model.encoder(seq_len=4096).encode(line.encode()).samples

    learned = [stretch for sample in samples for stretch in model.learned(sample)]
    assert len(learned) == len(answers)
    for stretch, answer in zip(learned, answers, strict=True):
        assert answer in stretch
