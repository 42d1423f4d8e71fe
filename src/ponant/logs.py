"""Log lines: time, level, what happened, and the facts as key=value. Never prompts, never keys."""

import logging

_STANDARD = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "color_message", "taskName"}


class KeyValueFormatter(logging.Formatter):
    """``2025-01-31T12:00:00 INFO request method=POST status=200``."""

    def __init__(self) -> None:
        super().__init__("%(asctime)s %(levelname)s %(message)s", "%Y-%m-%dT%H:%M:%S")

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802 - the name that logging calls
        """The line, facts included."""
        facts = [f"{key}={_quoted(value)}" for key, value in vars(record).items() if key not in _STANDARD]
        return " ".join([super().formatMessage(record), *facts])


def _quoted(value: object) -> str:
    text = str(value)
    return repr(text) if not text or any(character.isspace() for character in text) else text


def configure_logging(level: str) -> None:
    """Write log lines of this level and above to standard error."""
    handler = logging.StreamHandler()
    handler.setFormatter(KeyValueFormatter())
    logger = logging.getLogger("ponant")
    logger.handlers = [handler]
    logger.setLevel(level.upper())
    logger.propagate = False
