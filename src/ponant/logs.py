"""The format of log lines: time, level, event and ``key=value`` pairs. Prompts and keys are never logged."""

import logging

_STANDARD = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "color_message", "taskName"}


class KeyValueFormatter(logging.Formatter):
    """Formats a record as ``2025-01-31T12:00:00 INFO request method=POST status=200``."""

    def __init__(self) -> None:
        super().__init__("%(asctime)s %(levelname)s %(message)s", "%Y-%m-%dT%H:%M:%S")

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802 - overrides a method of logging
        """Return the line with its ``key=value`` pairs."""
        facts = [f"{key}={_quoted(value)}" for key, value in vars(record).items() if key not in _STANDARD]
        return " ".join([super().formatMessage(record), *facts])


def _quoted(value: object) -> str:
    text = str(value)
    return repr(text) if not text or any(character.isspace() for character in text) else text


def configure_logging(level: str) -> None:
    """Write log lines of at least this level to stderr."""
    handler = logging.StreamHandler()
    handler.setFormatter(KeyValueFormatter())
    logger = logging.getLogger("ponant")
    logger.handlers = [handler]
    logger.setLevel(level.upper())
    logger.propagate = False
