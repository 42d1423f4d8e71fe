"""The models of a running server."""

import os
import socket
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import urlsplit

import msgspec

from ponant.cli.api_key import api_key, exposure

_PROBE_TIMEOUT_SECONDS = 1.0
_BASE = "base"
"""Type of models that were not made by fine-tuning."""
_ADAPTER = "LoRA"
"""Format of models that were made by fine-tuning."""


class UnaskedServerError(Exception):
    """The server was not asked, or a proxy answered in its place. The message tells the user what to do."""


@dataclass(frozen=True, slots=True)
class RunningModels:
    """The models of a server by id: their states, aliases, contexts (tokens), kinds and formats."""

    url: str
    states: Mapping[str, str]
    aliases: Mapping[str, list[str]]
    contexts: Mapping[str, int]
    kinds: Mapping[str, str]
    formats: Mapping[str, str]


class _Health(msgspec.Struct):
    state: str


class _Readiness(msgspec.Struct):
    status: str
    models: dict[str, _Health] = {}


class _Capabilities(msgspec.Struct):
    completion_chat: bool = False
    completion_fim: bool = False


class _Card(msgspec.Struct):
    id: str
    capabilities: _Capabilities = msgspec.field(default_factory=_Capabilities)
    aliases: list[str] = []
    max_context_length: int = 0
    type: str = _BASE
    archived: bool = False


class _Cards(msgspec.Struct):
    data: list[_Card]


def ask_running_server() -> RunningModels | None:
    """Query the server at PONANT_URL or the default URL; None if no server responds.

    Reading the aliases may need an API key, PONANT_API_KEY or MISTRAL_API_KEY. Reading the states needs none.

    Raises:
        UnaskedServerError: a proxy or a setting of the environment prevents the query.
    """
    from ponant.client.keys import authorization
    from ponant.client.sdk import DEFAULT_URL

    url = (os.environ.get("PONANT_URL") or DEFAULT_URL).strip().rstrip("/").removesuffix("/v1").rstrip("/")
    if url == DEFAULT_URL and not _accepts_connections(url):
        return None
    key = api_key()
    if key and (reason := exposure(url)):
        raise UnaskedServerError(reason)
    return _query(url, authorization(key))


def _query(url: str, headers: dict[str, str]) -> RunningModels | None:
    import httpx2  # here: it takes longer to import than the rest of the command

    from ponant.transports.environment import EnvironmentTransport, UnusableSettingError
    from ponant.transports.proxies import EnvironmentProxies

    try:
        proxy = EnvironmentProxies().proxy_for(httpx2.URL(url))
    except httpx2.InvalidURL:
        return None
    try:
        sent = httpx2.Headers(headers, encoding="utf-8")
        with httpx2.Client(timeout=_PROBE_TIMEOUT_SECONDS, headers=sent, transport=EnvironmentTransport()) as client:
            readiness = msgspec.json.decode(client.get(f"{url}/ready").content, type=_Readiness)
            answer = client.get(f"{url}/v1/models")
            cards = msgspec.json.decode(answer.content, type=_Cards).data if answer.status_code == 200 else []
    except UnusableSettingError as error:
        raise UnaskedServerError(f"the server at {url} cannot be asked: {error}") from error
    except (httpx2.HTTPError, httpx2.InvalidURL, UnicodeEncodeError, msgspec.MsgspecError) as error:
        if proxy is None:
            return None
        raise UnaskedServerError(
            f"the server at {url} cannot be asked through the proxy {proxy}. Correct {proxy.variable}, or add the "
            "server's host to NO_PROXY to connect without a proxy"
        ) from error
    states = {name: health.state for name, health in readiness.models.items()}
    return RunningModels(
        url,
        states=states | {card.id: _state(card, states) for card in cards if card.type != _BASE},
        aliases={card.id: card.aliases for card in cards},
        contexts={card.id: card.max_context_length for card in cards if card.max_context_length},
        kinds={card.id: kind for card in cards if (kind := _kind(card))},
        formats={card.id: _ADAPTER for card in cards if card.type != _BASE},
    )


def _accepts_connections(url: str) -> bool:
    parts = urlsplit(url)
    try:
        socket.create_connection((parts.hostname, parts.port), _PROBE_TIMEOUT_SECONDS).close()
    except OSError:
        return False
    return True


def _kind(card: _Card) -> str | None:
    """Return the kind of a model; None for a fine-tuned model without its base, which has no capabilities."""
    if card.capabilities.completion_chat:
        return "chat"
    if card.capabilities.completion_fim:
        return "fim"
    return "embed" if card.type == _BASE else None


def _state(card: _Card, states: Mapping[str, str]) -> str:
    """Return the state of a fine-tuned model: that of its base, unless it is archived."""
    if card.archived:
        return "archived"
    return next((state for base, state in states.items() if card.id.startswith(f"ft:{base}:")), "unknown")
