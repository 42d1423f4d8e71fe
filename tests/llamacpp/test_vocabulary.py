"""Vocabularies: one per file, with memory that is freed."""

import ctypes
import os
from pathlib import Path
from typing import Any

import psutil
import pytest

from ponant.llamacpp.bindings import c
from ponant.llamacpp.vocabulary import GGUFVocabulary, open_vocabulary
from ponant.weights.bundled import BUNDLED
from ponant.weights.locate import locate
from tests.tiny_model import write_tiny_model


def test_memory_is_freed_with_the_last_reference() -> None:
    path = locate(BUNDLED, Path())
    process = psutil.Process()
    GGUFVocabulary(path)
    before = process.memory_info().rss
    for _ in range(10):
        GGUFVocabulary(path)  # about 16 MB each
    assert process.memory_info().rss - before < 50 * 2**20


def test_closing_twice_is_harmless() -> None:
    vocabulary = GGUFVocabulary(locate(BUNDLED, Path()))
    vocabulary.close()
    vocabulary.close()


def test_same_file_is_opened_once_and_another_one_under_its_name_anew(tmp_path: Path) -> None:
    path = tmp_path / "model.gguf"
    write_tiny_model(path)
    first = open_vocabulary(path)
    assert open_vocabulary(path) is first
    os.utime(path, (1, 1))
    assert open_vocabulary(path) is not first


def test_llama_cpp_prints_nothing_in_a_program_with_another_log(capfd: pytest.CaptureFixture[str]) -> None:
    def write(level: int, text: bytes, _: Any) -> None:
        os.write(2, text)

    log = c.llama_log_callback(write)
    c.llama_log_set(log, ctypes.c_void_p(0))
    GGUFVocabulary(locate(BUNDLED, Path())).close()
    assert capfd.readouterr().err == ""
