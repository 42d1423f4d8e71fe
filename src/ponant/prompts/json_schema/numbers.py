"""Keywords of numbers, with bounds that hold for decimal digits and for doubles alike.

llguidance compares digits, but JSON readers round ``0.29999999999999999999`` to 0.3. llguidance itself reads numbers of
more than 15 digits only approximately, and bounds beyond 2^63 not at all, and writes bounded numbers without exponents.
So bounds are moved inwards to simple numbers: of at most 15 digits, not below 10^-20 and, beyond 2^53, multiples of
10^11.
"""

import math
from collections.abc import Iterable
from decimal import ROUND_CEILING, Decimal, localcontext
from fractions import Fraction
from typing import Any

from ponant.prompts.json_schema.document import UnsupportedKeywordError, UnusableSchemaError

Number = int | float

_LARGEST_EXACT = 2**53
_STEP = 10**11
"""Its multiples have few digits and, up to the largest number, are exact as doubles."""
_LARGEST = 2**63 // _STEP * _STEP
_SMALLEST = 1e-20
_INFINITE = (math.inf, -math.inf)
_DIGITS = 15
_LAST_PLACE = -22
"""Numbers of up to 15 digits, the last at 10^-22 or above, are read exactly."""
_FRACTIONS = 500
_NEAR = 20
_MOST_FRACTIONS = 1_200
_LARGEST_MULTIPLE = 2**32
"""Limit of the product of a number's divisors in llguidance."""


def bounds(keywords: dict[str, Any], *, integers: bool) -> dict[str, Any]:
    """Combine a schema's bounds into ``minimum`` and ``maximum``. Raises UnusableSchemaError."""
    move = _integer_inside if integers else _inside
    lows = [move(bound, exclusive=exclusive) for bound, exclusive in _bounds(keywords, "minimum", "exclusiveMinimum")]
    highs = [
        -move(-bound, exclusive=exclusive) for bound, exclusive in _bounds(keywords, "maximum", "exclusiveMaximum")
    ]
    return ({"minimum": max(lows)} if lows else {}) | ({"maximum": min(highs)} if highs else {})


def fractions(mentioned: Iterable[Number]) -> list[dict[str, Any]]:
    """Return schemas for numbers that are not integers: between each two neighbouring integers.

    llguidance has no other way to write them, so they are limited to ``_FRACTIONS`` on both sides of zero and to the
    neighbourhood of other numbers that the schema mentions.
    """
    floors = set(range(-_FRACTIONS, _FRACTIONS))
    for number in mentioned:
        if abs(number) < _LARGEST_EXACT // 100 and len(floors) < _MOST_FRACTIONS:
            floors |= set(range(math.floor(number) - _NEAR, math.floor(number) + _NEAR))
    return [
        {"type": ["number"], **bounds({"exclusiveMinimum": floor, "exclusiveMaximum": floor + 1}, integers=False)}
        for floor in sorted(floors)
    ]


def divisor(keywords: dict[str, Any]) -> dict[str, Any]:
    """Translate ``multipleOf``, if its multiples are exact as doubles. Raises UnusableSchemaError."""
    value = _number(keywords, "multipleOf")
    if value is None:
        return {}
    if value <= 0:
        raise UnusableSchemaError('"multipleOf" must be greater than 0')
    if value == int(value):
        return {"multipleOf": int(value)}
    if Fraction(str(value)) != Fraction(value) or not is_exact(value):
        raise UnsupportedKeywordError(
            f'"multipleOf": {value} is not supported, because JSON readers would round some of its multiples; '
            "whole numbers, halves, quarters and so on are supported",
            "multipleOf",
        )
    return {"multipleOf": value}


def can_combine(divisors: Iterable[Number]) -> bool:
    """Return True if llguidance can compute the least common multiple of any of these divisors."""
    fractions = [Fraction(divisor) for divisor in set(divisors)]
    scale = 1
    while any((fraction * scale).denominator > 1 for fraction in fractions):
        scale *= 10
    whole = [int(fraction * scale) for fraction in fractions]
    return not whole or math.lcm(*whole) * max(whole) < _LARGEST_MULTIPLE


def is_exact(number: Number) -> bool:
    """Return True if llguidance and JSON readers read a number exactly."""
    if abs(number) > _LARGEST_EXACT:
        return False
    _, digits, place = Decimal(str(number)).normalize().as_tuple()
    return len(digits) <= _DIGITS + isinstance(number, int) and isinstance(place, int) and place >= _LAST_PLACE


def _bounds(keywords: dict[str, Any], inclusive: str, exclusive: str) -> list[tuple[Number, bool]]:
    """Return the bounds, each with True if it is exclusive. In draft-04, the second keyword is a flag for the first."""
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
    """Return the least simple number from a bound on, or above it if the bound is exclusive."""
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
    """Return the least simple integer from a bound on, or above it if the bound is exclusive."""
    least = math.floor(bound) + 1 if exclusive else math.ceil(bound)
    return least if abs(least) <= _LARGEST_EXACT else _inside(least, exclusive=False)
