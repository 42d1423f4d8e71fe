"""The sandbox of chat templates: Jinja's, with limits on the sizes of values.

Time is limited elsewhere: a thread that renders can be interrupted between two operations, so each of them is bounded.
"""

import functools
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, SupportsIndex, cast

from jinja2 import nodes
from jinja2.compiler import CodeGenerator, Frame
from jinja2.runtime import Context
from jinja2.sandbox import ImmutableSandboxedEnvironment

from ponant.prompts.chat.extent import check, check_bits, check_formatted, checked, size_of, text_of

_PADDING = frozenset({"ljust", "rjust", "center", "zfill", "to_bytes"})
"""Methods whose first argument is the length of their result."""
_WIDEST_INDENT = 64
_SHALLOW = frozenset(
    {"attr", "batch", "count", "d", "default", "first", "items", "last", "length", "list", "map", "random", "reject"}
    | {"rejectattr", "reverse", "select", "selectattr", "slice"}
)
"""Filters that do not visit the values within their argument."""

Filter = Callable[..., Any]


class Sandbox(ImmutableSandboxedEnvironment):
    """Environment of chat templates, whose values have limited sizes."""

    intercepted_binops = frozenset({"+", "*", "**", "%"})

    def __init__(self, filters: Mapping[str, Filter]) -> None:
        """Create an environment with further filters."""
        super().__init__(
            trim_blocks=True, lstrip_blocks=True, extensions=["jinja2.ext.loopcontrols"], finalize=_finalize
        )
        self.code_generator_class = _BoundedCode
        self.concat: Callable[[Iterable[str]], str] = _concat
        self.buffer = _Buffer
        self.checked = checked
        self.joined = _joined
        del self.globals["lipsum"]
        self.filters = {name: _bounded_filter(name, call) for name, call in {**self.filters, **filters}.items()}

    def call_binop(self, context: Context, operator: str, left: Any, right: Any) -> Any:
        """Compute a binary operation."""
        match operator:
            case "+":
                _check_sum(left, right)
            case "*":
                _check_product(left, right)
                _check_product(right, left)
            case "**":
                if isinstance(left, int) and isinstance(right, int):
                    check_bits(left.bit_length() * max(0, right))
            case _:
                if isinstance(left, str | bytes):
                    _check_percent(left, right)
        return super().call_binop(context, operator, left, right)

    def call(__self, __context: Context, __obj: Any, *args: Any, **kwargs: Any) -> Any:  # noqa: N805 - as Jinja's
        """Call a function or a method."""
        owner = getattr(__obj, "__self__", None)
        if isinstance(owner, str | bytes | int):
            args = _checked_arguments(owner, __obj.__name__, args, kwargs)
        return super().call(__context, __obj, *args, **kwargs)

    def wrap_str_format(self, value: Any) -> Callable[..., str] | None:
        """Return the method ``format`` or ``format_map`` of a text, with limits; None for anything else."""
        format_text = super().wrap_str_format(value)
        if format_text is None:
            return None

        def bounded(*args: Any, **kwargs: Any) -> str:
            check_formatted(value.__self__, args, kwargs, mark="{")
            return format_text(*args, **kwargs)

        return bounded


class _BoundedCode(CodeGenerator):
    """Code of a template whose lists, joined texts and buffers are checked."""

    def buffer(self, frame: Frame) -> None:
        """Begin to collect output."""
        frame.buffer = self.temporary_identifier()
        self.writeline(f"{frame.buffer} = environment.buffer()")

    def visit_Concat(self, node: nodes.Concat, frame: Frame) -> None:  # noqa: N802 - as Jinja\'s
        """Write a ``~``."""
        escaped = frame.eval_ctx.volatile or frame.eval_ctx.autoescape
        self.write(f"environment.joined({'markup_join' if escaped else 'str_join'}, (")
        for value in node.nodes:
            self.visit(value, frame)
            self.write(", ")
        self.write("))")

    def visit_List(self, node: nodes.List, frame: Frame) -> None:  # noqa: N802 - as Jinja\'s
        """Write a list."""
        self._write_checked(super().visit_List, node, frame)

    def visit_Dict(self, node: nodes.Dict, frame: Frame) -> None:  # noqa: N802 - as Jinja\'s
        """Write a dictionary."""
        self._write_checked(super().visit_Dict, node, frame)

    def visit_Tuple(self, node: nodes.Tuple, frame: Frame) -> None:  # noqa: N802 - as Jinja\'s
        """Write a tuple, or the names of an assignment."""
        if node.ctx == "load":
            self._write_checked(super().visit_Tuple, node, frame)
        else:
            super().visit_Tuple(node, frame)

    def _write_checked(self, write: Callable[[Any, Frame], None], node: nodes.Expr, frame: Frame) -> None:
        self.write("environment.checked(")
        write(node, frame)
        self.write(")")


class _Buffer(list[str]):
    """Pieces of output."""

    def __init__(self) -> None:
        super().__init__()
        self._size = 0

    def append(self, piece: str) -> None:
        """Add a piece."""
        self._size += len(piece) + 8
        check(self._size)
        super().append(piece)

    def extend(self, pieces: Iterable[str]) -> None:
        """Add pieces."""
        for piece in pieces:
            self.append(piece)


def _concat(pieces: Iterable[str]) -> str:
    """Join the pieces of an output."""
    if not isinstance(pieces, _Buffer):
        buffer = _Buffer()
        buffer.extend(pieces)
        pieces = buffer
    return "".join(pieces)


def _joined(join: Callable[[Iterable[Any]], str], values: Sequence[Any]) -> str:
    """Join the texts of values by ``join``."""
    check(sum(map(size_of, values)))
    return join(values)


def _finalize(value: Any) -> Any:
    """Return a value to print, which the caller turns into text."""
    return value if isinstance(value, str) else text_of(value)


def _check_sum(left: Any, right: Any) -> None:
    if isinstance(left, str | bytes | list | tuple) and isinstance(right, str | bytes | list | tuple):
        check(_length(left) + _length(right))


def _length(value: Any) -> int:
    """Return a length in characters: each item of a list counts as 8."""
    return len(value) if isinstance(value, str | bytes) else 8 * len(value)


def _check_product(value: Any, count: Any) -> None:
    if isinstance(value, str | bytes | list | tuple) and isinstance(count, SupportsIndex):
        check(_length(value) * max(0, count.__index__()))
    elif isinstance(value, int) and isinstance(count, int):
        check_bits(value.bit_length() + count.bit_length())


def _check_percent(text: str | bytes, values: Any) -> None:
    named = cast("dict[str, Any]", values) if isinstance(values, dict) else {}
    check_formatted(text.decode("latin-1") if isinstance(text, bytes) else text, [values], named, mark="%")


def _checked_arguments(owner: Any, name: str, args: tuple[Any, ...], named: dict[str, Any]) -> tuple[Any, ...]:
    """Check the result of a method of a text, of bytes or of an integer; return its arguments."""
    if name in _PADDING:
        check(max((value for value in (*args, *named.values()) if isinstance(value, int)), default=0))
    elif name == "expandtabs":
        width = next((value for value in (*args, *named.values()) if isinstance(value, int)), 8)
        check(len(owner) + owner.count("\t" if isinstance(owner, str) else b"\t") * max(0, width))
    elif name == "replace" and len(args) >= 2:
        check(len(owner) + owner.count(args[0]) * max(0, len(args[1]) - len(args[0])))
    elif name == "translate":
        check(len(owner) * max(1, *map(size_of, args)))
    elif name == "join" and len(args) == 1:
        parts = list(args[0])
        check(sum(map(len, parts)) + len(owner) * len(parts))
        return (parts,)
    return args


def _bounded_filter(name: str, call: Filter) -> Filter:
    """Return a filter that checks its arguments first. Jinja reads attributes of it, which it keeps."""
    skipped = 1 if hasattr(call, "jinja_pass_arg") else 0
    check_arguments = _CHECKS.get(name)

    @functools.wraps(call)
    def bounded(*args: Any, **kwargs: Any) -> Any:
        given = args[skipped:]
        if name == "join" and given:
            given = (list(given[0]), *given[1:])
        if name not in _SHALLOW:
            for value in (*given, *kwargs.values()):
                checked(value)
        if check_arguments:
            check_arguments(*given, **kwargs)
        return call(*args[:skipped], *given, **kwargs)

    return bounded


def _check_center(value: Any, width: int = 80) -> None:
    check(width)


def _check_indent(value: Any, width: int | str = 4, *_: Any, **__: Any) -> None:
    text = str(value)
    check(len(text) + (text.count("\n") + 1) * (width if isinstance(width, int) else len(width)))


def _check_batch(value: Any, linecount: int, *_: Any, **__: Any) -> None:
    check(8 * linecount)


def _check_wordwrap(value: Any, width: int = 79, long: bool = True, wrapstring: str | None = None, *_: Any) -> None:
    check(len(str(value)) * (1 + len(wrapstring or "")))


def _check_format(value: Any, *args: Any, **kwargs: Any) -> None:
    _check_percent(str(value), kwargs or args)


def _check_replace(value: Any, old: str, new: str, *_: Any, **__: Any) -> None:
    text = str(value)
    check(len(text) + text.count(str(old)) * max(0, len(str(new)) - len(str(old))))


def _check_join(value: Any, d: str = "", *_: Any, **__: Any) -> None:
    check(size_of(value) + len(str(d)) * len(value))


def _check_json(value: Any, *_: Any, indent: Any = None, separators: Any = None, **__: Any) -> None:
    given = [indent, *(separators or ())]
    if max(part if isinstance(part, int) else len(part or "") for part in given) > _WIDEST_INDENT:
        raise ValueError(f"indents and separators of JSON may have {_WIDEST_INDENT} characters")


def _check_sum_start(value: Any, attribute: Any = None, start: Any = 0) -> None:
    if not isinstance(start, int | float):
        raise TypeError("sum adds numbers only")


_CHECKS: dict[str, Callable[..., None]] = {
    "batch": _check_batch,
    "center": _check_center,
    "format": _check_format,
    "indent": _check_indent,
    "join": _check_join,
    "replace": _check_replace,
    "slice": _check_batch,
    "sum": _check_sum_start,
    "tojson": _check_json,
    "wordwrap": _check_wordwrap,
}
"""Checks of the arguments of filters whose results may be larger than these."""
