"""Fixtures of the tests of prompts."""

import functools
from collections.abc import Callable
from pathlib import Path

import pytest

from ponant.llamacpp.vocabulary import GGUFVocabulary
from tests.prompts.mistral.models import MODELS, Made, made


@pytest.fixture(scope="session")
def vocabulary(bundled_model: Path) -> GGUFVocabulary:
    """GGUFVocabulary of the bundled model."""
    return GGUFVocabulary(bundled_model)


@pytest.fixture(scope="session")
def model_of(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Made]:
    """Model of one kind and version, such as ``tekken v13``."""
    return functools.cache(lambda name: made(name, tmp_path_factory.mktemp("model")))


@pytest.fixture(scope="session", params=MODELS)
def model(request: pytest.FixtureRequest, model_of: Callable[[str], Made]) -> Made:
    """Each of the models with Mistral's tokens."""
    return model_of(request.param)
