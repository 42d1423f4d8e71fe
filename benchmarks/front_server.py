"""`ponant` with workers that have no model, for `benchmarks.front`: everything but the worker is the real server.

`python -m benchmarks.front_server serve MODEL.gguf` takes the vocabulary and the chat template of the file.
"""

from typing import Any, Generic, TypeVar
from unittest.mock import patch

from ponant.cli.main import main
from ponant.engine.llama import process
from ponant.processes.supervisor import Supervisor

Info = TypeVar("Info")
Frame = TypeVar("Frame")


class _FrontSupervisor(Supervisor[Any, Any], Generic[Info, Frame]):
    """Supervisor of a worker of `benchmarks.front_worker`, whatever module is named."""

    def __init__(self, _module: str, *arguments: Any, **options: Any) -> None:
        super().__init__("benchmarks.front_worker", *arguments, **options)


if __name__ == "__main__":
    with patch.object(process, "Supervisor", _FrontSupervisor):
        main()
