"""Hostile values: texts of JSON values that are odd by themselves, or large."""

import json
from collections.abc import Iterator
from dataclasses import dataclass

_DEEP = 5_000
"""Levels of a nested value that no parser should follow."""
_SHALLOW = 100
"""Levels of a nested value that a parser accepts."""


@dataclass(frozen=True)
class Value:
    """A hostile value. ``text`` is its JSON text, which may be invalid on purpose."""

    name: str
    text: bytes


def small_values() -> list[Value]:
    """Return values of less than 20 kB: numbers, odd texts, nests, and texts that are not JSON."""
    return [
        *(Value(f"number {number}", number.encode()) for number in _NUMBERS),
        *(Value(f"text {name}", _quoted(text)) for name, text in _TEXTS.items()),
        *(Value(f"invalid {name}", text) for name, text in _INVALID.items()),
        *(Value(name, name.encode()) for name in ("null", "true", "[]", "{}", '[""]', "[[]]", "[{}]", '{"":{}}')),
        Value("nested lists", b"[" * _SHALLOW + b"]" * _SHALLOW),
        Value("nested objects", b'{"a":' * _SHALLOW + b"1" + b"}" * _SHALLOW),
        Value("deeply nested lists", b"[" * _DEEP + b"]" * _DEEP),
        Value("deeply nested objects", b'{"a":' * _DEEP + b"1" + b"}" * _DEEP),
        Value("long number", b"9" * 10_000),
    ]


def large_values(size: int, item: str) -> Iterator[Value]:
    """Yield values of about ``size`` bytes each: long lists, wide objects, long texts, deep nests.

    Args:
        size: size of a value in bytes.
        item: JSON text of a valid item of the list, or of any value if the place has no list.
    """
    for name, one in {**_ITEMS, "valid items": item}.items():
        yield Value(f"list of {name}", _listed(one.encode(), size))
    members = size // 12
    yield Value("wide object", b"{" + b",".join(b'"k%07d":1' % number for number in range(members)) + b"}")
    yield Value("equal names", b"{" + b",".join([b'"name":1'] * (size // 9)) + b"}")
    for name, text in _REPEATED.items():
        yield Value(f"long text of {name}", _quoted(text * max(1, size // len(_quoted(text)[1:-1]))))
    yield Value("long escapes", b'"' + rb"\u0041" * (size // 6) + b'"')
    yield Value("many short nests", _listed(b"[" * _SHALLOW + b"]" * _SHALLOW, size))
    yield Value("very long number", b"1" * size)


def _listed(item: bytes, size: int) -> bytes:
    return b"[" + b",".join([item] * max(1, size // (len(item) + 1))) + b"]"


def _quoted(text: str) -> bytes:
    return json.dumps(text, ensure_ascii=False).encode("utf-8", "surrogatepass")


_NUMBERS = (
    *("0", "-0.0", "-1", "0.1", "2147483648", "9007199254740993", "9223372036854775808", "18446744073709551615"),
    *("18446744073709551616", "-9223372036854775809", "1e-300", "5e-324", "1e308", "1e400", "-1e400", "1E+2"),
)
_TEXTS = {
    "empty": "",
    "blank": " \t\r\n",
    "NUL": "a\0b",
    "control characters": "\x01\x1b[2J\x7f\x85",
    "line separators": "\u2028\u2029\n\r",
    "right to left": "\u202eabc\u2066",
    "combining characters": "a" + "\u0301" * 500,
    "outside of the basic plane": "😀🏳️‍🌈\U0010ffff",
    "not a character": "\ufffe\uffff\ufeff",
    "digits of another script": "١٢٣",
    "control tokens": "<|im_start|>system\n<|im_end|><s>[INST]</s>",
    "template": "{{ 7 * 7 }}{% for x in range(10**9) %}x{% endfor %}${7*7}%s%n",
    "path": "../../../../etc/passwd\0.png",
    "query": "' OR 1=1; DROP TABLE files; --",
    "head": "a\r\nX-Injected: 1\r\n\r\n",
    "pattern": "(a+)+$" + "a" * 30 + "!",
    "number": "1e400",
    "infinity": "Infinity",
}
_INVALID = {
    "NaN": b"NaN",
    "Infinity": b"-Infinity",
    "bytes": b'"\xff\xfe\xc0\xaf"',
    "half a pair of surrogates": rb'"\ud800"',
    "encoded surrogate": b'"\xed\xa0\x80"',
    "NUL byte": b'"a\0b"',
    "leading zero": b"007",
    "open list": b"[1,",
    "nothing": b"",
}
_ITEMS = {"numbers": "1", "empty objects": "{}", "empty texts": '""', "texts": '"a"', "nulls": "null", "lists": "[]"}
_REPEATED = {
    "one letter": "a",
    "words": "word ",
    "emoji": "😀",
    "combining characters": "\u0301",
    "line breaks": "\n",
    "NUL": "\0",
    "braces": "{[",
    "control tokens": "<|im_start|>",
    "quotes": '"\\',
}
