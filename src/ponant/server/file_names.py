"""File names in forms: the parameters ``filename`` and ``filename*`` of a part."""

import contextlib
import re
from email.errors import HeaderParseError
from email.header import decode_header, make_header
from email.utils import collapse_rfc2231_value, decode_params, unquote

from ponant.errors import InvalidRequestError

_PARAMETER = re.compile(r';\s*([^\s=;"]+)\s*=\s*("(?:[^"\\]|\\.)*"|[^;]*)')
_ENCODED_WORDS = re.compile(r"=\?[^?\s]+\?[bq]\?[^?]*\?=(?:\s*=\?[^?\s]+\?[bq]\?[^?]*\?=)*", re.IGNORECASE)
_FOLDERS = re.compile(r".*[/\\]", re.DOTALL)


def encoded_file_name(disposition: bytes) -> str | None:
    """Return the name in ``filename*`` (RFC 5987 and 2231) of a Content-Disposition header; None if there is none.

    .NET sends it in addition to ``filename``, and some other clients in place of it. If it is empty or not valid in its
    character set, ``filename`` is used.

    Raises:
        InvalidRequestError: the name is not valid in its character set, and it is the only one.
    """
    parameters = [(name.lower(), value.strip()) for name, value in _PARAMETER.findall(disposition.decode("latin-1"))]
    encoded = [(name, value) for name, value in parameters if name.startswith("filename*")]
    is_only = all(name != "filename" for name, _ in parameters)
    try:
        for name, value in decode_params([("", ""), *encoded])[1:]:
            if name == "filename":
                text = collapse_rfc2231_value(value, errors="strict")
                found = unquote(text) if isinstance(value, tuple) else text
                return found if found or is_only else None
    except UnicodeDecodeError:
        if not is_only:
            return None
        raise InvalidRequestError("The form cannot be read: filename* is not in its character set") from None
    return None


def plain_file_name(name: str) -> str:
    """Return a name without folders, and decoded if it is written in MIME's encoded words (RFC 2047)."""
    if _ENCODED_WORDS.fullmatch(name):
        with contextlib.suppress(HeaderParseError, LookupError, UnicodeDecodeError):
            name = str(make_header(decode_header(name)))
    return _FOLDERS.sub("", name)
