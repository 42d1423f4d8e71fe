"""What the tests of prompts share."""

import functools
from collections.abc import Callable
from pathlib import Path

import pytest

from ponant.llamacpp.vocabulary import Vocabulary
from tests.prompts.mistral.models import MODELS, Made, made


@pytest.fixture(scope="session")
def vocabulary(bundled_model: Path) -> Vocabulary:
    """The bundled model's."""
    return Vocabulary(bundled_model)


@pytest.fixture(scope="session")
def model_of(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Made]:
    """The model of one kind and version: ``tekken v13``."""
    return functools.cache(lambda name: made(name, tmp_path_factory.mktemp("model")))


@pytest.fixture(scope="session", params=MODELS)
def model(request: pytest.FixtureRequest, model_of: Callable[[str], Made]) -> Made:
    """Each model with Mistral's tokens."""
    return model_of(request.param)
