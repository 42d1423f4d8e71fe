"""Fill-in-the-middle requests."""

from ponant.api.fim import FIMCompletionRequest
from ponant.callers import Caller
from ponant.completion.completion import Completion
from ponant.completion.generation import CompletionStarter
from ponant.completion.spec import CompletionSpec, stop_strings


class FimService:
    """Answers fill-in-the-middle requests."""

    def __init__(self, completions: CompletionStarter) -> None:
        self._completions = completions

    async def start(self, request: FIMCompletionRequest, caller: Caller) -> Completion:
        """Start to answer a request. Raises as ``CompletionStarter.start``."""
        return await self._completions.start(
            CompletionSpec(
                caller=caller,
                model=request.model,
                kind="fim",
                build=lambda model: model.fim.build(request.prompt, request.suffix),
                seed=request.random_seed,
                stops=stop_strings(request.stop),
                max_tokens=request.max_tokens,
                min_tokens=request.min_tokens or 0,
                temperature=request.temperature,
                top_p=1.0 if request.top_p is None else request.top_p,
            )
        )
