"""From a request's wire type to what its model's engine gets."""

import asyncio

from msgspec import structs

from ponant.api.chat import ChatCompletionRequest
from ponant.catalog.catalog import Catalog
from ponant.catalog.loading.loaded import LoadedModel
from ponant.completion.completion import Completion
from ponant.completion.generation import check_length, generate_request, stop_strings
from ponant.completion.schemas.checker import SchemaChecker
from ponant.completion.support import refuse_unsupported
from ponant.engine.base import GenerateRequest
from ponant.prompts.answer.spec import AnswerSpec, read_answer_spec
from ponant.prompts.chat.prompt import Prompt

_LONGEST_TOKEN = 32
"""Characters that a token of a prediction is reckoned to have at the most."""


class ChatService:
    """Answers chat requests with the models of a catalog."""

    def __init__(
        self,
        catalog: Catalog,
        *,
        safe_prompt: str,
        request_timeout: float = 600,
        always_reuse: bool = False,
        whole_calls: bool = False,
    ) -> None:
        """Answer from this catalog.

        Args:
            catalog: the models.
            safe_prompt: what ``safe_prompt`` puts before a conversation.
            request_timeout: seconds that a request may take.
            always_reuse: whether the prompts of seeded requests, too, may always begin with what was computed for
                other requests. It is faster, but rounding then depends on what was asked before.
            whole_calls: whether streams have each call of a tool in one piece.
        """
        self._catalog = catalog
        self._request_timeout = request_timeout
        self._safe_prompt = safe_prompt
        self._always_reuse = always_reuse
        self._whole_calls = whole_calls
        self._schemas = SchemaChecker()

    async def close(self) -> None:
        """End what answering requests has started beside them."""
        await self._schemas.close()

    async def start(self, request: ChatCompletionRequest) -> Completion:
        """Begin to answer a request.

        Raises:
            InvalidRequestError: it makes no sense, or asks for what is not served.
            UnknownModelError: there is no such model.
            QueueFullError: too many requests wait already.
            EngineUnavailableError: the model's engine is not ready.
        """
        self._catalog.find(request.model, "chat")
        refuse_unsupported(request)
        spec = read_answer_spec(request)
        await self._schemas.check(spec.schemas)
        async with self._catalog.use(request.model, "chat") as model:
            return await self._start(request, spec, model)

    async def _start(self, request: ChatCompletionRequest, spec: AnswerSpec, model: LoadedModel) -> Completion:
        safe = self._safe_prompt if request.safe_prompt or request.safe_mode else None
        prompt = await asyncio.to_thread(
            model.prompts.build, request.messages, system=safe, spec=spec, max_tokens=request.max_tokens
        )
        check_length(prompt, request, model.engine.limits.context)
        prediction: list[int] = []
        if request.prediction is not None:
            content = request.prediction.content.removeprefix(prompt.prefix)
            prediction = await asyncio.to_thread(_prediction, content, model)
        generate = _generate_request(request, model, prompt, prediction, always_reuse=self._always_reuse)
        return Completion(
            model,
            prompt,
            generate,
            name=request.model,
            stops=stop_strings(request),
            predicted=request.prediction is not None,
            timeout=self._request_timeout,
            whole_calls=self._whole_calls,
        )


def _prediction(content: str, model: LoadedModel) -> list[int]:
    """The tokens of the answer that the client expects."""
    context = model.engine.limits.context  # no answer is longer, so no more of a prediction can be of use
    return model.vocabulary.tokenize(content[: _LONGEST_TOKEN * context], control=False)[:context]


def _generate_request(
    request: ChatCompletionRequest,
    model: LoadedModel,
    prompt: Prompt,
    prediction: list[int],
    *,
    always_reuse: bool,
) -> GenerateRequest:
    common = generate_request(request, model, prompt, choices=request.n or 1, always_reuse=always_reuse)
    return structs.replace(
        common,
        sampling=structs.replace(
            common.sampling,
            top_k=max(request.top_k or 0, 0),
            repetition_penalty=request.repetition_penalty or 1.0,
            presence_penalty=request.presence_penalty or 0.0,
            frequency_penalty=request.frequency_penalty or 0.0,
        ),
        prediction=prediction,
        top_logprobs=(request.top_logprobs or 0) if request.logprobs else None,
    )
