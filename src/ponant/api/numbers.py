"""Bounds of the numbers that clients send, so that each fits a frame to a worker and a column of the database."""

from typing import Annotated, TypeAlias

from pydantic import Field

LARGEST_COUNT = 2**31 - 1
"""Largest number of tokens, steps or pages: llama.cpp counts in 32 bits."""

Count: TypeAlias = Annotated[int, Field(ge=0, le=LARGEST_COUNT)]
PositiveCount: TypeAlias = Annotated[int, Field(ge=1, le=LARGEST_COUNT)]
TopK: TypeAlias = Annotated[int, Field(ge=-1, le=LARGEST_COUNT)]
Seed: TypeAlias = Annotated[int, Field(ge=0, le=2**64)]
"""Its upper bound is a power of two, which JSON writers without integers of 64 bits write exactly."""
Identifier: TypeAlias = Annotated[int, Field(ge=-(2**63), le=2**63 - 1)]

Temperature: TypeAlias = Annotated[float, Field(ge=0, le=1.5)]
Share: TypeAlias = Annotated[float, Field(ge=0, le=1)]
Penalty: TypeAlias = Annotated[float, Field(ge=-2, le=2)]
RepetitionPenalty: TypeAlias = Annotated[float, Field(ge=0.01, le=10)]
"""Divisor of logits. Logits of float32 stay finite when they are divided or multiplied by it."""
Weight: TypeAlias = Annotated[float, Field(gt=0, le=1e9)]
"""Weight relative to others. The sum and the quotients of many stay finite."""
