"""From a fill-in-the-middle request to what its model's engine gets."""

import asyncio

from msgspec import structs

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

    async def start(
        self,
        request: FIMCompletionRequest,
        *,
        choices: int = 1,
        top_logprobs: int | None = None,
        presence_penalty: float = 0.0,
        frequency_penalty: float = 0.0,
    ) -> Completion:
        """Begin to answer a request; raises what ``ChatService.start`` raises.

        Args:
            request: what is asked for.
            choices: how many completions there are to be.
            top_logprobs: how many of the likeliest tokens are told at each place; None for no log-probabilities.
            presence_penalty: as for chat.
            frequency_penalty: as for chat.
        """
        async with self._catalog.use(request.model, "fim") as model:
            prompt = await asyncio.to_thread(model.fim.build, request.prompt, request.suffix)
            check_length(prompt, request, model.engine.limits.context)
            common = generate_request(request, model, prompt, choices=choices, always_reuse=self._always_reuse)
            penalties = {"presence_penalty": presence_penalty, "frequency_penalty": frequency_penalty}
            return Completion(
                model,
                prompt,
                structs.replace(
                    common, sampling=structs.replace(common.sampling, **penalties), top_logprobs=top_logprobs
                ),
                name=request.model,
                stops=stop_strings(request),
                predicted=False,
                timeout=self._request_timeout,
            )
