"""Retries after errors of the disk and the database."""

import asyncio
import logging

logger = logging.getLogger("ponant.jobs")

_RETRY_SECONDS = 5.0


async def pause_after(error: Exception) -> None:
    """Log an error and wait before the next attempt."""
    logger.warning("jobs paused after an error", extra={"reason": str(error)})
    await asyncio.sleep(_RETRY_SECONDS)
