"""Log lines: no control character of a request or a file name reaches the terminal."""

import logging
import warnings
from collections.abc import Iterator

import pytest

from ponant.logs import configure_logging


@pytest.fixture
def _logging_restored() -> Iterator[None]:
    root, ours = logging.getLogger(), logging.getLogger("ponant")
    before = root.handlers, root.level, ours.handlers, ours.level, ours.propagate
    logging.captureWarnings(False)  # a server in this process may have left it on
    yield
    logging.captureWarnings(False)
    root.handlers, root.level, ours.handlers, ours.level, ours.propagate = before


@pytest.mark.usefixtures("_logging_restored")
def test_control_characters_are_escaped_in_every_part_of_a_line(capsys: pytest.CaptureFixture[str]) -> None:
    configure_logging("info")
    evil = "a\x1b[31m\r\n2025-01-31T12:00:00 INFO forged\u202e\x9b\udcff"
    logger = logging.getLogger("ponant.server")
    logger.info("request %s", evil, extra={"path": evil, "short": "\x07"})
    try:
        raise ValueError(evil)
    except ValueError:
        logger.exception("request failed")
    logging.getLogger("uvicorn.error").warning("bad %s", evil)
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        warnings.warn(evil, stacklevel=1)
    lines = capsys.readouterr().err.split("\n")
    assert all(line.isprintable() for line in lines)
    assert not [line for line in lines if line.startswith("2025-01-31")]
    assert len([line for line in lines if line.startswith("2")]) == 4
    assert any(r"\x1b[31m" in line for line in lines)
