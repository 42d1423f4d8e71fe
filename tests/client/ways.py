"""Ways to make a call: sync or async, over HTTP or in-process."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from operator import attrgetter
from typing import Any

import httpx2

from ponant import Mistral

WAYS = ["over HTTP, sync", "over HTTP, async", "in-process, sync", "in-process, async"]


@dataclass
class Way:
    """Client, and the way to call it."""

    client: Mistral
    asynchronous: bool
    in_process: bool

    def call(self, operation: str, **parameters: Any) -> Any:
        """Return the result of an operation such as ``chat.complete``, or all events of a stream."""
        if self.asynchronous:
            return asyncio.run(self._call_async(operation, parameters))
        result = attrgetter(operation)(self.client)(**parameters)
        if isinstance(result, httpx2.Response):
            result.read()
        if not isinstance(result, Iterator):
            return result
        with result as events:  # type: ignore[attr-defined]
            return list(events)

    async def _call_async(self, operation: str, parameters: dict[str, Any]) -> Any:
        result = await attrgetter(f"{operation}_async")(self.client)(**parameters)
        if isinstance(result, httpx2.Response):
            await result.aread()
        if not isinstance(result, AsyncIterator):
            return result
        async with result as events:  # type: ignore[attr-defined]
            return [event async for event in events]
