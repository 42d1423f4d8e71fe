"""String literals in the languages of the samples.

Characters that cannot be seen are escaped, so that a sample is the same text after copying.
"""

import re
from collections.abc import Callable, Mapping

_CONTROLS = {"\n": "\\n", "\r": "\\r", "\t": "\\t"}
_QUOTED = {"\\": "\\\\", '"': '\\"'}
_JSON = _CONTROLS | _QUOTED | {"\b": "\\b", "\f": "\\f"}


def json_string(text: str) -> str:
    """Return a JSON string with visible characters only."""
    return f'"{_escaped(text, _JSON, _utf16)}"'


def ascii_json_string(text: str) -> str:
    """Return a JSON string with ASCII characters only."""
    return f'"{_escaped(text, _JSON, _utf16, ascii_only=True)}"'


def javascript_string(text: str) -> str:
    """Return a JavaScript string."""
    return f'"{_escaped(text, _CONTROLS | _QUOTED, _utf16)}"'


def python_string(text: str) -> str:
    """Return a Python string, in single quotes if these need fewer escapes."""
    if '"' in text and "'" not in text:
        return f"'{_escaped(text, _CONTROLS | {_BACKSLASH: _QUOTED[_BACKSLASH]}, _python_code)}'"
    return f'"{_escaped(text, _CONTROLS | _QUOTED, _python_code)}"'


def java_string(text: str) -> str:
    """Return a Java string with ASCII characters only, as older JDKs read files in the machine's encoding."""
    return f'"{_escaped(text, _CONTROLS | _QUOTED, _utf16, ascii_only=True)}"'


def swift_string(text: str) -> str:
    """Return a Swift string."""
    return f'"{_escaped(text, _CONTROLS | _QUOTED, _swift_code)}"'


def shell_word(text: str) -> str:
    """Return one word of a POSIX shell, in single quotes if it has other characters than those of plain words."""
    plain = text.isascii() and text.translate(_PLAIN).isalnum()
    return text if plain else "'" + text.replace("'", "'\\''") + "'"


_BACKSLASH = "\\"
_SPECIAL = re.compile(r"[\"\\]|[^ -~]+")
"""Characters that may need an escape: quotes and backslashes, and all others but visible ASCII."""
_PLAIN = str.maketrans("", "", "-_./:=@%+,")


def _escaped(text: str, named: Mapping[str, str], coded: Callable[[int], str], *, ascii_only: bool = False) -> str:
    """Escape characters with a short form, and all that are not visible, or not ASCII, by their code point."""

    def escaped(run: re.Match[str]) -> str:
        found = run[0]
        if found.isprintable() and not found.isascii() and not ascii_only:
            return found
        return "".join(
            named.get(char) or (char if char.isprintable() and (char.isascii() or not ascii_only) else coded(ord(char)))
            for char in found
        )

    return _SPECIAL.sub(escaped, text)


def _utf16(code: int) -> str:
    if code < 0x10000:
        return f"\\u{code:04x}"
    code -= 0x10000
    return f"\\u{0xD800 + (code >> 10):04x}\\u{0xDC00 + (code & 0x3FF):04x}"


def _python_code(code: int) -> str:
    if code < 0x100:
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


def _swift_code(code: int) -> str:
    return f"\\u{{{code:x}}}"
