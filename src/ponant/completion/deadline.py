"""Time limits of requests."""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator

from ponant.errors import DeadlineExceededError


@contextlib.asynccontextmanager
async def before(deadline: float) -> AsyncIterator[None]:
    """Cancel the block at ``deadline``, in seconds of ``time.monotonic``.

    Raises:
        DeadlineExceededError: the block was cancelled.
    """
    limit = asyncio.timeout(max(0.0, deadline - time.monotonic()))
    try:
        async with limit:
            yield
    except TimeoutError:
        if not limit.expired():
            raise
        raise DeadlineExceededError from None
