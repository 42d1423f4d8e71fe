"""Errors of the client as messages of commands: fields become options, and Python's remedies the commands' own."""

import re
from collections.abc import Mapping

from ponant.client.errors import Advice, ClientError, HTTPValidationError

_REMEDIES = {
    Advice.MODELS: "`ponant models` lists the models.",
    Advice.KEY: "Set PONANT_API_KEY or MISTRAL_API_KEY to the server's key.",
    Advice.LATER: "Try again later.",
    Advice.SOON: "Try again in a moment.",
    Advice.TOKENS: "Reduce --max-tokens, or raise request_timeout on the server.",
    Advice.SERVER: "Is the server running? Start one with `ponant serve`, set its address with --server-url or "
    "PONANT_URL, or use --local, which needs none.",
    Advice.TIME: "Try again later.",
    Advice.WHOLE: "",
    Advice.STREAMED: "",
}


def explained(error: ClientError, options: Mapping[str, str], remedies: Mapping[Advice, str] | None = None) -> str:
    """Return the message of an error for the user of a command.

    Args:
        error: the error.
        options: options of the command, by the path of the field that they set.
        remedies: remedies that differ from those of other commands.
    """
    if isinstance(error, HTTPValidationError) and error.data.detail:
        return "; ".join(f"{_path(reason.loc, options)}: {reason.msg}" for reason in error.data.detail)
    message = error.message
    if error.advice is not None:
        remedy = (_REMEDIES | dict(remedies or {})).get(error.advice, str(error.advice))
        message = f"{message.removesuffix(error.advice)}{remedy}".strip()
    return with_options(message, options)


def with_options(message: str, options: Mapping[str, str]) -> str:
    """Replace the fields in a message that are no words of English (``max_tokens``) by their options."""
    fields = [field for field in options if "_" in field]
    for field in sorted(fields, key=len, reverse=True):
        for name in (field, field.rpartition(".")[2]):
            message = re.sub(rf"(?<![\w.-])(?:body\.)?{re.escape(name)}(?![\w-])", options[field], message)
    return message


def _path(location: tuple[str | int, ...] | list[str | int], options: Mapping[str, str]) -> str:
    """Return the option of a field, or else its path within the request."""
    parts = [str(part) for part in location]
    if parts[:1] in (["body"], ["query"]):
        del parts[0]
    for length in range(len(parts), 0, -1):
        if option := options.get(".".join(parts[:length])):
            return option
    return ".".join(parts)
