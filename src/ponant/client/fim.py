"""Fill-in-the-middle completions: whole or streamed."""

from collections.abc import Mapping
from typing import Any, TypeAlias

from typing_extensions import Unpack

from ponant.api.fim import FIMCompletionRequest, FIMCompletionResponse
from ponant.client.call import Call, OptionParameters, Options, fields
from ponant.client.completion_stream import as_stream
from ponant.client.lenient import reader
from ponant.client.resource import Resource, answered, answered_async, streamed, streamed_async
from ponant.client.unset import UNSET, OptionalNullable

FIMCompletionRequestStop: TypeAlias = str | list[str]

_PATH = "/v1/fim/completions"


class FIMCompletionStreamRequest(FIMCompletionRequest):
    """Body of a fill-in-the-middle request with a streamed answer."""

    stream: bool | None = True


class Fim(Resource):
    """Fill-in-the-middle completions."""

    def _complete(
        self,
        *,
        model: str | None,
        prompt: str,
        temperature: OptionalNullable[float] = UNSET,
        top_p: OptionalNullable[float] = UNSET,
        max_tokens: OptionalNullable[int] = UNSET,
        stream: bool | None = False,
        stop: OptionalNullable[FIMCompletionRequestStop] = UNSET,
        random_seed: OptionalNullable[int] = UNSET,
        metadata: OptionalNullable[Mapping[str, Any]] = UNSET,
        suffix: OptionalNullable[str] = UNSET,
        min_tokens: OptionalNullable[int] = UNSET,
        prompt_cache_key: OptionalNullable[str] = UNSET,
        **options: Unpack[OptionParameters],
    ) -> Call[FIMCompletionResponse]:
        """Fill in the text between a prompt and a suffix.

        The server's defaults apply to parameters that are UNSET.

        Args:
            model: Name of the model; None for the server's default model.
            prompt: Text before the filling, such as code up to the cursor.
            temperature: Randomness of the sampling: 0 for the most likely token each time.
            top_p: Probability mass to sample from: the most likely tokens that reach this sum.
            max_tokens: Maximum length of the filling in tokens. It must fit into the model's context together with the
                prompt and the suffix.
            stream: True for a streamed filling. Use the method `stream` instead.
            stop: Text, or texts, before which the filling ends.
            random_seed: Seed of the sampling. The same request with the same seed gets the same filling.
            metadata: Arbitrary object for the server.
            suffix: Text after the filling. Without it, the prompt is continued.
            min_tokens: Minimum length of the filling in tokens.
            prompt_cache_key: Name of a group of requests with the same beginning.

        Returns:
            The response; for `stream`, its events.

        Raises:
            HTTPValidationError: The server refused a field (422).
            SDKError: The server refused the request or failed (other 4XX and 5XX).
            ResponseValidationError: The response does not have the format of the API.
            StreamError: The server failed during the stream.
        """
        body = fields(
            nullable={
                "model": model,
                "prompt": prompt,
                "suffix": suffix,
                "temperature": temperature,
                "top_p": top_p,
                "max_tokens": max_tokens,
                "min_tokens": min_tokens,
                "stop": stop,
                "random_seed": random_seed,
                "metadata": metadata,
                "prompt_cache_key": prompt_cache_key,
            },
            optional={"stream": stream},
        )
        return Call("POST", _PATH, reader(FIMCompletionResponse), Options(**options), body)

    _stream = as_stream(_complete)

    complete = answered(_complete)
    complete_async = answered_async(_complete)
    stream = streamed(_stream)
    stream_async = streamed_async(_stream)
