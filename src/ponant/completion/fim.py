"""From a fill-in-the-middle request to what its model's engine gets."""

import asyncio

from ponant.api.fim import FIMCompletionRequest
from ponant.catalog.catalog import Catalog
from ponant.completion.completion import Completion
from ponant.completion.generation import check_length, generate_request, stop_strings


class FimService:
    """Answers fill-in-the-middle requests with the models of a catalog."""

    def __init__(self, catalog: Catalog, *, request_timeout: float = 600, always_reuse: bool = False) -> None:
        """Answer from this catalog; the arguments are those of ``ChatService``."""
        self._catalog = catalog
        self._request_timeout = request_timeout
        self._always_reuse = always_reuse

    async def start(self, request: FIMCompletionRequest) -> Completion:
        """Begin to answer a request; raises what ``ChatService.start`` raises."""
        async with self._catalog.use(request.model, "fim") as model:
            prompt = await asyncio.to_thread(model.fim.build, request.prompt, request.suffix)
            check_length(prompt, request, model.engine.info.context)
            return Completion(
                model,
                prompt,
                generate_request(request, model, prompt, always_reuse=self._always_reuse),
                name=request.model,
                stops=stop_strings(request),
                predicted=False,
                timeout=self._request_timeout,
            )
