"""Numbers in schemas, moved to where those who read them as digits and those who read them as doubles agree.

llguidance compares digits; a reader of JSON takes ``0.29999999999999999999`` for 0.3. llguidance itself reads numbers
of more than 15 digits only roughly, and bounds beyond 2^63 not at all; and what has bounds has no exponent. So bounds
are moved inwards until they are simple: to 15 digits, to no less than 10^-20 and, beyond 2^53, to multiples of 10^11.
"""

import math
from collections.abc import Iterable
from decimal import ROUND_CEILING, Decimal, localcontext
from fractions import Fraction
from typing import Any

from ponant.prompts.json_schema.document import UnusableSchemaError

Number = int | float

_LARGEST_EXACT = 2**53
_STEP = 10**11
"""Multiples of it have few digits and, up to the largest number, are doubles as well."""
_LARGEST = 2**63 // _STEP * _STEP
_SMALLEST = 1e-20
_INFINITE = (math.inf, -math.inf)
_DIGITS = 15
_LAST_PLACE = -22
"""Numbers of so many digits, down to so small a place, are read exactly."""
_LARGEST_MULTIPLE = 2**32
"""llguidance multiplies the divisors of one number with each other in this much."""


def bounds(keywords: dict[str, Any], *, integers: bool) -> dict[str, Any]:
    """``minimum`` and ``maximum``, as they stand for all of a schema's bounds. Raises UnusableSchemaError."""
    move = _integer_inside if integers else _inside
    lows = [move(bound, exclusive=exclusive) for bound, exclusive in _bounds(keywords, "minimum", "exclusiveMinimum")]
    highs = [
        -move(-bound, exclusive=exclusive) for bound, exclusive in _bounds(keywords, "maximum", "exclusiveMaximum")
    ]
    return ({"minimum": max(lows)} if lows else {}) | ({"maximum": min(highs)} if highs else {})


def divisor(keywords: dict[str, Any]) -> dict[str, Any]:
    """``multipleOf``, where doubles tell multiples from others. Raises UnusableSchemaError."""
    value = _number(keywords, "multipleOf")
    if value is None:
        return {}
    if value <= 0:
        raise UnusableSchemaError('"multipleOf" must be greater than 0')
    if value == int(value):
        return {"multipleOf": int(value)}
    if Fraction(str(value)) != Fraction(value) or not is_exact(value):
        raise UnusableSchemaError(
            f'"multipleOf": {value} is not supported, as readers of JSON would take some multiples for others; '
            "whole numbers and halves, quarters and so on are"
        )
    return {"multipleOf": value}


def can_combine(divisors: Iterable[Number]) -> bool:
    """Whether llguidance can find the least common multiple of any of these divisors."""
    fractions = [Fraction(divisor) for divisor in set(divisors)]
    scale = 1
    while any((fraction * scale).denominator > 1 for fraction in fractions):
        scale *= 10
    whole = [int(fraction * scale) for fraction in fractions]
    return not whole or math.lcm(*whole) * max(whole) < _LARGEST_MULTIPLE


def is_exact(number: Number) -> bool:
    """Whether a number is read as it is."""
    if abs(number) > _LARGEST_EXACT:
        return False
    _, digits, place = Decimal(str(number)).normalize().as_tuple()
    return len(digits) <= _DIGITS + isinstance(number, int) and isinstance(place, int) and place >= _LAST_PLACE


def _bounds(keywords: dict[str, Any], inclusive: str, exclusive: str) -> list[tuple[Number, bool]]:
    """Bounds, each with whether it is exclusive. In draft-04 the second word is a flag that changes the first."""
    bound = _number(keywords, inclusive)
    flag = keywords.get(exclusive)
    found = [] if bound is None else [(bound, flag is True)]
    other = None if isinstance(flag, bool) else _number(keywords, exclusive)
    return found if other is None else [*found, (other, True)]


def _number(keywords: dict[str, Any], keyword: str) -> Number | None:
    if keyword not in keywords:
        return None
    value = keywords[keyword]
    if isinstance(value, bool) or not isinstance(value, int | float) or value in _INFINITE:
        raise UnusableSchemaError(f'"{keyword}" must be a number')
    return value


def _inside(bound: Number, *, exclusive: bool) -> Number:
    """The least simple number of those from a bound on, or of those above it."""
    if bound < -_LARGEST:
        return -_LARGEST
    if abs(bound) > _LARGEST_EXACT:
        return (int(bound) // _STEP + 1) * _STEP if bound > 0 else (1 - int(-bound) // _STEP) * _STEP
    if not exclusive and is_exact(bound) and (bound == 0 or abs(bound) >= _SMALLEST):
        return bound or 0
    if abs(bound) < _SMALLEST:
        return _SMALLEST if bound >= 0 and (bound > 0 or exclusive) else 0
    exact = Decimal(str(bound))
    place = max(exact.adjusted() - _DIGITS + 1, _LAST_PLACE)
    with localcontext(prec=60):
        unit = Decimal(1).scaleb(place)
        rounded = exact.quantize(unit, ROUND_CEILING)
        if rounded < bound or (exclusive and float(rounded) <= bound):
            rounded += unit
    return int(rounded) if place >= 0 else float(rounded)


def _integer_inside(bound: Number, *, exclusive: bool) -> Number:
    """The same for integers."""
    least = math.floor(bound) + 1 if exclusive else math.ceil(bound)
    return least if abs(least) <= _LARGEST_EXACT else _inside(least, exclusive=False)
