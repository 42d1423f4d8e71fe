"""Chat requests."""

from ponant.api.chat import ChatCompletionRequest
from ponant.callers import Caller
from ponant.catalog.catalog import Catalog
from ponant.completion.completion import Completion
from ponant.completion.generation import CompletionStarter
from ponant.completion.schemas.checker import SchemaChecker
from ponant.completion.spec import CompletionSpec, logit_bias, stop_strings
from ponant.completion.support import refuse_unsupported
from ponant.prompts.answer.spec import AnswerSpec, read_answer_spec
from ponant.prompts.request import ChatPromptRequest


class ChatService:
    """Answers chat requests."""

    def __init__(self, catalog: Catalog, completions: CompletionStarter, *, safe_prompt: str) -> None:
        """Answer requests.

        Args:
            catalog: the models.
            completions: starts completions with these models.
            safe_prompt: system text that ``safe_prompt`` puts before a conversation.
        """
        self._catalog = catalog
        self._completions = completions
        self._safe_prompt = safe_prompt
        self._schemas = SchemaChecker()

    async def close(self) -> None:
        """End the process that checks schemas."""
        await self._schemas.close()

    async def start(
        self, request: ChatCompletionRequest, caller: Caller, *, arrived: float, any_order: bool = False
    ) -> Completion:
        """Start to answer a request.

        Args:
            request: the request.
            caller: origin of the request.
            arrived: time of its arrival, in seconds of ``time.monotonic``.
            any_order: as for ``read_conversation``.

        Raises:
            InvalidRequestError: it makes no sense, or asks for something unsupported.
            UnknownModelError: there is no such model.
            QueueFullError: too many requests wait.
            EngineUnavailableError: the model cannot be loaded, or its engine is not ready.
            DeadlineExceededError: the request's time ended.
        """
        self._catalog.find(request.model, "chat")
        refuse_unsupported(request)
        spec = read_answer_spec(request)
        if spec.schemas:
            async with self._completions.in_time(arrived):
                spec = spec.with_schemas(await self._schemas.check(spec.schemas))
        return await self._completions.start(self._spec(request, spec, caller, arrived=arrived, any_order=any_order))

    def _spec(
        self, request: ChatCompletionRequest, spec: AnswerSpec, caller: Caller, *, arrived: float, any_order: bool
    ) -> CompletionSpec:
        system = self._safe_prompt if request.safe_prompt or request.safe_mode else None
        return CompletionSpec(
            caller=caller,
            model=request.model,
            kind="chat",
            prompt=ChatPromptRequest(
                messages=request.messages,
                system=system,
                spec=spec,
                max_tokens=request.max_tokens,
                any_order=any_order,
            ),
            arrived=arrived,
            choices=request.n or 1,
            seed=request.random_seed,
            stops=stop_strings(request.stop),
            max_tokens=request.max_tokens,
            min_tokens=request.min_tokens or 0,
            temperature=request.temperature,
            top_p=1.0 if request.top_p is None else request.top_p,
            top_k=max(request.top_k or 0, 0),
            repetition_penalty=request.repetition_penalty or 1.0,
            presence_penalty=request.presence_penalty or 0.0,
            frequency_penalty=request.frequency_penalty or 0.0,
            top_logprobs=(request.top_logprobs or 0) if request.logprobs else None,
            constrained_by="response_format" if spec.schema is not None else "tools" if spec.functions else None,
            prompt_logprobs=(request.top_prompt_logprobs or 0) if request.prompt_logprobs else None,
            logit_bias=logit_bias(request.logit_bias),
            ignore_eos=bool(request.ignore_eos),
            prediction=request.prediction.content if request.prediction else None,
        )
