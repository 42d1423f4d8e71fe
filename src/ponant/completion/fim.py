"""Fill-in-the-middle requests."""

from ponant.api.fim import FIMCompletionRequest
from ponant.callers import Caller
from ponant.completion.completion import Completion
from ponant.completion.generation import CompletionStarter
from ponant.completion.spec import CompletionSpec, stop_strings
from ponant.prompts.request import FimPromptRequest


class FimService:
    """Answers fill-in-the-middle requests."""

    def __init__(self, completions: CompletionStarter) -> None:
        self._completions = completions

    async def start(self, request: FIMCompletionRequest, caller: Caller, *, arrived: float) -> Completion:
        """Start to answer a request that arrived at a time of ``time.monotonic``.

        Raises as ``CompletionStarter.start``.
        """
        return await self._completions.start(
            CompletionSpec(
                caller=caller,
                model=request.model,
                kind="fim",
                prompt=FimPromptRequest(request.prompt, request.suffix),
                arrived=arrived,
                seed=request.random_seed,
                stops=stop_strings(request.stop),
                max_tokens=request.max_tokens,
                min_tokens=request.min_tokens or 0,
                temperature=request.temperature,
                top_p=1.0 if request.top_p is None else request.top_p,
            )
        )
