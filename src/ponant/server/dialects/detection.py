"""Detection of the dialect of requests, and translation of whole answers."""

import asyncio
import contextlib
import re
from dataclasses import dataclass, field
from functools import lru_cache
from urllib.parse import parse_qsl

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from ponant.server.connection_limits import MOST_PARAMETERS
from ponant.server.dialects.base import EXCHANGE, MISTRAL, Dialect, DialectExchange
from ponant.server.dialects.mistral import EARLY_MISTRAL, STRICT
from ponant.server.dialects.nim import NIM, NIM_WITHOUT_MODEL
from ponant.server.dialects.openai import OPENAI
from ponant.server.header_text import header

DIALECTS = {dialect.name: dialect for dialect in (MISTRAL, NIM, OPENAI)}
"""The dialects that the settings can name."""
_PREFIXES = {"/openai": OPENAI, "/nim": NIM}
"""Paths with a fixed dialect, by prefix."""
_AGENTS = {
    "OpenAI/": OPENAI,
    "AsyncOpenAI/": OPENAI,
    "mistral-client-python/0.": EARLY_MISTRAL,
    "mistral-client-": MISTRAL,
}
"""Dialects of clients, by the beginning of their `User-Agent`. The first match applies, whatever the body has."""
_SPARE_SLASHES = re.compile("/{2,}")
_SMALL = 2**16
"""Largest answer that is translated on the event loop, in bytes."""
_RESOURCES = ("chat", "completions", "fim", "embeddings", "models", "files", "fine_tuning")
"""First parts of the paths that are also served without ``/v1``."""


class DialectDetection:
    """Detects the dialect of a request, and changes its path to that of the Mistral API.

    Whole answers are translated here. Streams are translated as they are written.
    """

    def __init__(
        self,
        app: ASGIApp,
        *,
        default: str = MISTRAL.name,
        strict: bool = False,
        public_names: bool = True,
        fingerprint: str = "",
    ) -> None:
        """Use the default dialect at ``/v1``.

        Args:
            app: application that serves the Mistral API.
            default: a name of ``DIALECTS``. Other dialects are detected only if it is the Mistral API.
            strict: True to detect no dialect at ``/v1``, and to refuse all fields that the Mistral API refuses.
            public_names: False to leave requests in NIM's dialect without a model to the default model.
            fingerprint: fingerprint of the server, for answers that have one.
        """
        self._app = app
        self._nim = NIM if public_names else NIM_WITHOUT_MODEL
        self._default = self._nim if default == NIM.name else DIALECTS[default]
        self._strict = strict
        self._fingerprint = fingerprint

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle a request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        exchange = self._recognise(scope)
        exchange.fingerprint = self._fingerprint
        if query := scope["query_string"]:
            with contextlib.suppress(ValueError):  # too many parameters, which the application refuses
                exchange.query = dict(parse_qsl(query.decode("latin-1"), max_num_fields=MOST_PARAMETERS))
        served = exchange.served_path
        if served != scope["path"]:
            scope["path"], scope["raw_path"] = served, served.encode()
        scope[EXCHANGE] = exchange
        await self._app(scope, receive, _AnswerSender(exchange, send).send)

    def _recognise(self, scope: Scope) -> DialectExchange:
        path = _without_spare_slashes(scope["path"])
        for prefix, dialect in _PREFIXES.items():
            if path.startswith(f"{prefix}/v1/"):
                path = path.removeprefix(prefix)
                return DialectExchange(path, _owner(path) or (self._nim if dialect is NIM else dialect))
        if path.partition("/")[2].partition("/")[0] in _RESOURCES:
            path = f"/v1{path}"
        if not path.startswith("/v1/"):
            return DialectExchange(path)
        if owner := _owner(path):
            return DialectExchange(path, owner)
        if self._strict:
            return DialectExchange(path, STRICT)
        if self._default is not MISTRAL:
            return DialectExchange(path, self._default)
        agent = header(scope, b"user-agent")
        for beginning, dialect in _AGENTS.items():
            if agent.startswith(beginning):
                return DialectExchange(path, dialect)
        return DialectExchange(path, body_tells=OPENAI)


@lru_cache(maxsize=64)
def _owner(path: str) -> Dialect | None:
    """Return the only dialect that has a path; None if the Mistral API has it."""
    return next((dialect for dialect in DIALECTS.values() if dialect.served_path(path)), None)


def _without_spare_slashes(path: str) -> str:
    """Return a path without doubled slashes, which addresses that end in a slash make, and without one at its end."""
    return _SPARE_SLASHES.sub("/", path).rstrip("/") or "/"


@dataclass
class _AnswerSender:
    """Sender of an answer, translated as a whole if it is JSON."""

    exchange: DialectExchange
    send_on: Send
    held: Message | None = None
    pieces: list[bytes] = field(default_factory=list[bytes])

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start" and self._is_translated(message):
            self.held = message
        elif self.held and message["type"] == "http.response.body":
            self.pieces.append(message.get("body", b""))
            if not message.get("more_body", False):
                await self._send_translated(self.held)
        else:
            await self.send_on(message)

    def _is_translated(self, start: Message) -> bool:
        if self.exchange.dialect.answers is None or self.exchange.is_written:
            return False
        return Headers(raw=start["headers"]).get("content-type", "") == "application/json"

    async def _send_translated(self, start: Message) -> None:
        answer = b"".join(self.pieces)
        if len(answer) > _SMALL:
            translated = await asyncio.to_thread(self.exchange.answers.whole, start["status"], answer)
        else:
            translated = self.exchange.answers.whole(start["status"], answer)
        start["status"], body = translated
        MutableHeaders(raw=start["headers"])["content-length"] = str(len(body))
        await self.send_on(start)
        await self.send_on({"type": "http.response.body", "body": body})
