"""Client of the Mistral API."""

import os
from collections.abc import Callable, Sequence
from functools import cached_property
from types import TracebackType
from typing import TYPE_CHECKING, Any

from ponant.client.unset import UNSET, OptionalNullable

if TYPE_CHECKING:
    import httpx2

    from ponant.client.chat import Chat
    from ponant.client.embeddings import Embeddings
    from ponant.client.files import Files
    from ponant.client.fim import Fim
    from ponant.client.fine_tuning import FineTuning
    from ponant.client.models import Models
    from ponant.client.retries import RetryConfig

DEFAULT_URL = "http://127.0.0.1:8000"
"""Default address of ``ponant serve``."""


class Mistral:
    """Client of a server with the Mistral API, or of a server in this process (``Mistral.local``).

    A client can be used from several threads and event loops at once. Used as a context manager, it closes its
    connections at the end of the block::

        with Mistral() as client:
            answer = client.chat.complete(model="smollm2", messages=[{"role": "user", "content": "Hello"}])
            print(answer.choices[0].message.content)
    """

    # This module imports little: the transport is imported with the first client, each resource on first access.

    def __init__(
        self,
        api_key: str | Callable[[], str | None] | None = None,
        *,
        server_url: str | None = None,
        client: "httpx2.Client | None" = None,
        async_client: "httpx2.AsyncClient | None" = None,
        retry_config: "OptionalNullable[RetryConfig]" = UNSET,
        timeout_ms: int | None = None,
    ) -> None:
        """Create a client of a server. The first call opens the connection.

        Args:
            api_key: Key of the server, or a function that returns it for each request. None or a blank key stands for
                the environment variable PONANT_API_KEY, else MISTRAL_API_KEY.
            server_url: Address of the server, with or without ``/v1``. Defaults to the environment variable PONANT_URL,
                else ``http://127.0.0.1:8000``.
            client: HTTP client for sync requests. It is not closed with this client.
            async_client: HTTP client for async requests. It is not closed with this client.
            retry_config: Retries of failed requests. By default, requests are not retried.
            timeout_ms: Maximum time for an answer, or for the next event of a stream, in milliseconds. By default,
                there is no limit.

        Raises:
            ValueError: ``server_url`` is not an HTTP URL, or ``timeout_ms`` is not positive.
        """
        from ponant.client.keys import key_of_environment
        from ponant.client.transport import Configuration, Transport, check_timeout, checked_url

        check_timeout(timeout_ms)
        url = checked_url(server_url or os.environ.get("PONANT_URL") or DEFAULT_URL)
        key = api_key if callable(api_key) or (api_key and api_key.strip()) else key_of_environment()
        configuration = Configuration(url, key, retry_config, timeout_ms)
        self._transport = Transport(configuration, client=client, async_client=async_client)

    @classmethod
    def local(
        cls,
        model: str | Sequence[str] | None = None,
        *,
        retry_config: "OptionalNullable[RetryConfig]" = UNSET,
        timeout_ms: int | None = None,
        **settings: Any,
    ) -> "Mistral":
        """Create a client with a server of its own in this process.

        No port is opened; each model runs in a child process. Models are loaded in the background. The first call, or
        entering the ``with`` block, waits for them.

        Args:
            model: Model to serve, as for ``ponant serve``: smollm2 or multilingual-e5-small (the bundled models, the
                default), the path of a .gguf file, ``hf:org/repo[:file|:quant]``, or a list of these.
            retry_config: Retries of failed requests. By default, requests are not retried.
            timeout_ms: Maximum time for an answer, or for the next event of a stream, in milliseconds. By default,
                there is no limit.
            **settings: Settings of the server, such as ``threads=2``; see ``docs/settings.md``. Other settings come
                from the environment and from ``ponant.toml``, as for ``ponant serve``.

        Returns:
            The client. Closing it ends its server and the child processes.

        Raises:
            ValueError: A setting is not valid, or ``timeout_ms`` is not positive.
        """
        import httpx2

        from ponant.client.transport import Configuration, Transport, check_timeout
        from ponant.local.in_process import LOCAL_HOST, AsyncInProcessTransport, InProcessTransport
        from ponant.local.local_server import LocalServer

        check_timeout(timeout_ms)
        if model is not None:
            settings["models"] = [model] if isinstance(model, str) else list(model)
        server = LocalServer.start(settings)
        mistral = cls.__new__(cls)
        mistral._transport = Transport(
            Configuration(f"http://{LOCAL_HOST}", retries=retry_config, timeout_ms=timeout_ms),
            client=httpx2.Client(transport=InProcessTransport(server), trust_env=False),
            async_client=httpx2.AsyncClient(transport=AsyncInProcessTransport(server), trust_env=False),
            host=server,
        )
        return mistral

    @cached_property
    def chat(self) -> "Chat":
        """Chat completions: ``complete``, ``stream``, ``parse``."""
        from ponant.client.chat import Chat

        return Chat(self._transport)

    @cached_property
    def embeddings(self) -> "Embeddings":
        """Embeddings of texts: ``create``."""
        from ponant.client.embeddings import Embeddings

        return Embeddings(self._transport)

    @cached_property
    def files(self) -> "Files":
        """Files on the server: ``upload``, ``list``, ``retrieve``, ``download``, ``delete``."""
        from ponant.client.files import Files

        return Files(self._transport)

    @cached_property
    def fim(self) -> "Fim":
        """Fill-in-the-middle completions: ``complete``, ``stream``."""
        from ponant.client.fim import Fim

        return Fim(self._transport)

    @cached_property
    def fine_tuning(self) -> "FineTuning":
        """Fine-tuning jobs: ``fine_tuning.jobs``."""
        from ponant.client.fine_tuning import FineTuning

        return FineTuning(self._transport)

    @cached_property
    def models(self) -> "Models":
        """Models of the server: ``list``, ``retrieve``, and management of fine-tuned models."""
        from ponant.client.models import Models

        return Models(self._transport)

    def close(self) -> None:
        """Close the connections, and end a local server.

        Connections of async calls are closed by their event loops, soon after this returns.
        """
        self._transport.close()

    async def close_async(self) -> None:
        """Close the connections, and end a local server.

        Connections of this event loop are closed when this returns.
        """
        await self._transport.close_async()

    def __enter__(self) -> "Mistral":
        self._transport.open()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    async def __aenter__(self) -> "Mistral":
        await self._transport.open_async()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close_async()
