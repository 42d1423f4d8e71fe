"""Bounds of the numbers that clients send, so that each fits a frame to a worker and a column of the database."""

from typing import Annotated, Any, TypeAlias

from pydantic import BeforeValidator, Field

LARGEST_COUNT = 2**31 - 1
"""Largest number of tokens, steps or pages: llama.cpp counts in 32 bits."""


def _whole(sent: Any) -> Any:
    return int(sent) if isinstance(sent, float) and sent.is_integer() else sent


Whole = BeforeValidator(_whole)
"""Annotation of integers: a number without a fraction is one however it is written (``2.0``), as in JSON Schema."""

Count: TypeAlias = Annotated[int, Field(ge=0, le=LARGEST_COUNT), Whole]
PositiveCount: TypeAlias = Annotated[int, Field(ge=1, le=LARGEST_COUNT), Whole]
TopK: TypeAlias = Annotated[int, Field(ge=-1, le=LARGEST_COUNT), Whole]
Seed: TypeAlias = Annotated[int, Field(ge=0, le=2**64), Whole]
"""Its upper bound is a power of two, which JSON writers without integers of 64 bits write exactly."""
Identifier: TypeAlias = Annotated[int, Field(ge=-(2**63), le=2**63 - 1), Whole]

Temperature: TypeAlias = Annotated[float, Field(ge=0, le=1.5)]
Share: TypeAlias = Annotated[float, Field(ge=0, le=1)]
Penalty: TypeAlias = Annotated[float, Field(ge=-2, le=2)]
RepetitionPenalty: TypeAlias = Annotated[float, Field(ge=0.01, le=10)]
"""Divisor of logits. Logits of float32 stay finite when they are divided or multiplied by it."""
Weight: TypeAlias = Annotated[float, Field(gt=0, le=1e9)]
"""Weight relative to others. The sum and the quotients of many stay finite."""
