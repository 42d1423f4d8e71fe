"""The format of log lines: time, level, event and ``key=value`` pairs. Prompts and keys are never logged."""

import logging
import re

_PLAIN = re.compile("[!-~]+")
_STANDARD = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "color_message", "taskName"}


class KeyValueFormatter(logging.Formatter):
    """Formats a record as ``2025-01-31T12:00:00 INFO request method=POST status=200``."""

    def __init__(self) -> None:
        super().__init__("%(asctime)s %(levelname)s %(message)s", "%Y-%m-%dT%H:%M:%S")

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802 - overrides a method of logging
        """Return the line with its ``key=value`` pairs."""
        facts = [f"{key}={_quoted(value)}" for key, value in vars(record).items() if key not in _STANDARD]
        return " ".join([_escaped(super().formatMessage(record)), *facts])

    def format(self, record: logging.LogRecord) -> str:
        """Return the line, and indented lines with a traceback. Control characters are escaped."""
        first, *others = super().format(record).split("\n")
        return "\n".join([first, *(f"  {_escaped(line)}" for line in others)])


def _quoted(value: object) -> str:
    text = str(value)
    if _PLAIN.fullmatch(text):
        return text
    is_plain = text and text.isprintable() and not any(character.isspace() for character in text)
    return text if is_plain else repr(text).encode("utf-8", "backslashreplace").decode()


def _escaped(text: str) -> str:
    """Return a text with escapes in place of control characters and others that cannot be printed."""
    return text if text.isprintable() else "".join(one if one.isprintable() else ascii(one)[1:-1] for one in text)


def configure_logging(level: str) -> None:
    """Write log lines of at least this level to stderr, and warnings of libraries in the same format."""
    handler = logging.StreamHandler()
    handler.setFormatter(KeyValueFormatter())
    logging.captureWarnings(True)
    # Facts of a record that no line has: their collection takes a third of the time of a line.
    logging.logThreads = logging.logProcesses = logging.logMultiprocessing = False
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(logging.WARNING)
    logger = logging.getLogger("ponant")
    logger.handlers = [handler]
    logger.setLevel(level.upper())
    logger.propagate = False
