"""Official clients, unchanged, against a running server. Each suite runs in an environment with its client."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from ponant.engine.base import GenerateRequest
from tests.in_process import ScriptedServer, serving_scripted
from tests.missing import skip_or_fail
from tests.scripted_engine import Script
from tests.serving import EXACT, RunningServer, environment, serving
from tests.soak import SOAK, soaked
from tests.tiny_model import write_tiny_model
from tests.training.extra import skip_without_training

SUITES = Path(__file__).parent
ROOT = SUITES.parent.parent
FIRST_GENERATION = ROOT / ".venv-mistralai1" / "bin" / "python"
KEY = "a-key-for-clients"
CLIENTS = {  # the first generation meets all suites in `make soak`
    "newest mistralai": (Path(sys.executable), "mistral"),
    "mistralai 1": (FIRST_GENERATION, "mistral" if SOAK else "mistral/chat_suite.py"),
    "openai": (Path(sys.executable), "openai"),
}


@pytest.fixture(scope="module")
def keyed_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    """Server with a key and a tiny model whose context has room for tools."""
    model = tmp_path_factory.mktemp("models") / "tiny.gguf"
    write_tiny_model(model, context_length=4096)
    with serving(str(model), "--api-key", KEY, **EXACT) as server:
        yield server


@pytest.mark.parametrize(("python", "suite"), CLIENTS.values(), ids=CLIENTS)
def test_client_sees_what_it_expects(keyed_server: RunningServer, python: Path, suite: str) -> None:
    run(python, suite, PONANT_TEST_URL=keyed_server.url, PONANT_TEST_KEY=KEY, PONANT_TEST_MODEL="tiny")


def test_client_gets_an_answer_that_ends_by_itself(scripted_server: ScriptedServer) -> None:
    scripted_server.engine.play("The capital of France is ", "Paris.")
    python, suite = CLIENTS["newest mistralai"]
    run(python, suite, "-k", "by_itself", PONANT_TEST_URL=scripted_server.url, PONANT_TEST_MODEL="scripted")


@pytest.mark.usefixtures("scripted_training")
def test_client_fine_tunes_a_model(tiny_model: Path) -> None:
    """The training is scripted, and so are the answers of the base and of the trained model."""
    skip_without_training()

    def script(request: GenerateRequest) -> Script:
        return ("the and a hello",) if request.adapter else ("Hello",)

    with serving_scripted(tiny_model, ("tiny",), engine={"usual": script}) as server:
        run(FIRST_GENERATION, "fine_tuning_suite.py", PONANT_TEST_URL=server.url, PONANT_TEST_MODEL="tiny")


@soaked
def test_client_fine_tunes_the_bundled_model(tmp_path: Path, base_weights: Path) -> None:
    skip_without_training()
    (tmp_path / "fine_tuning").mkdir()
    (tmp_path / "fine_tuning" / "base-weights").symlink_to(base_weights)
    # One thread: training is slow if it has more threads than free cores.
    with serving(PONANT_DATA_DIR=str(tmp_path)) as server:
        run(FIRST_GENERATION, "fine_tuning_suite.py", PONANT_TEST_URL=server.url)


def run(python: Path, suite: str, *arguments: str, **variables: str) -> None:
    if not python.exists():
        skip_or_fail(f"there is no {python.parent.parent.name}; run: make {python.parent.parent.name}/.ready")
    command = [str(python), "-m", "pytest", "--noconftest", "-c", "/dev/null", "-p", "no:cacheprovider", "-q"]
    package = suite.partition("/")[0]
    plugin = [] if package.endswith(".py") else ["-p", f"tests.clients.{package}.asking"]
    result = subprocess.run(
        [*command, *plugin, "-o", "python_files=*_suite.py", str(SUITES / suite), *arguments],
        cwd=ROOT,
        capture_output=True,
        check=False,
        text=True,
        env=environment(**variables),
        timeout=900,
    )
    assert result.returncode == 0, f"{result.stdout}\n{result.stderr}"
