"""``Mistral``: the client."""

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
"""Where ``ponant serve`` listens unless told otherwise."""


class Mistral:
    """A client of a server with the Mistral API, or of an engine in this process (``Mistral.local``).

    It may be used from several threads and event loops at once. As a context manager it closes its connections.
    """

    # Importing this class costs next to nothing: what a client is made of is imported when one is made, and the
    # resources, with the types that they need, when they are asked for.

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
        """Talk to a server; nothing is sent before the first call.

        Args:
            api_key: the server's key, or a function that gives it. By default PONANT_API_KEY, else MISTRAL_API_KEY.
            server_url: the server's address, with or without ``/v1``. By default PONANT_URL, else ``http://127.0.0.1:8000``.
            client: sends sync requests; it stays yours to close.
            async_client: sends async requests; it stays yours to close.
            retry_config: whether and how failed requests are sent again. By default they are not.
            timeout_ms: how long an answer, or the next event of a stream, may take. By default as long as it needs.

        Raises:
            ValueError: the address or the time is none.
        """
        from ponant.client.transport import Configuration, Transport, check_timeout, checked_url

        check_timeout(timeout_ms)
        url = checked_url(server_url or os.environ.get("PONANT_URL") or DEFAULT_URL)
        key = api_key or os.environ.get("PONANT_API_KEY") or os.environ.get("MISTRAL_API_KEY")
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
        """A client whose server is in this process: no port is opened, the engine is a process of its own.

        The model is loaded in the background; the first call, or entering the ``with`` block, waits for it.

        Args:
            model: what is served, as for ``ponant serve``: smollm2 or multilingual-e5-small (the bundled models, the
                default), the path of a .gguf file, ``hf:org/repo[:file|:quant]``, or several of these.
            retry_config: whether and how failed requests are sent again. By default they are not.
            timeout_ms: how long an answer, or the next event of a stream, may take. By default as long as it needs.
            **settings: as in ``docs/settings.md``, such as ``threads=2``; others come from the environment and from
                ``ponant.toml``, as for ``ponant serve``.

        Raises:
            ValueError: a setting is not allowed.
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
        """Chat completions."""
        from ponant.client.chat import Chat

        return Chat(self._transport)

    @cached_property
    def embeddings(self) -> "Embeddings":
        """Embeddings of texts."""
        from ponant.client.embeddings import Embeddings

        return Embeddings(self._transport)

    @cached_property
    def files(self) -> "Files":
        """Files that the server keeps."""
        from ponant.client.files import Files

        return Files(self._transport)

    @cached_property
    def fim(self) -> "Fim":
        """Fill-in-the-middle completions."""
        from ponant.client.fim import Fim

        return Fim(self._transport)

    @cached_property
    def fine_tuning(self) -> "FineTuning":
        """Jobs that train models: ``fine_tuning.jobs``."""
        from ponant.client.fine_tuning import FineTuning

        return FineTuning(self._transport)

    @cached_property
    def models(self) -> "Models":
        """The models that the server has."""
        from ponant.client.models import Models

        return Models(self._transport)

    def close(self) -> None:
        """Close the connections of sync calls; a local engine ends."""
        self._transport.close()

    async def close_async(self) -> None:
        """Close the connections; a local engine ends."""
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
