"""The models of a running server."""

import os
import socket
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import urlsplit

import msgspec

_PROBE_TIMEOUT_SECONDS = 1.0


@dataclass(frozen=True, slots=True)
class RunningModels:
    """The models of a server: their states, aliases and contexts (tokens) by id."""

    url: str
    states: Mapping[str, str]
    aliases: Mapping[str, list[str]]
    contexts: Mapping[str, int]


class _Health(msgspec.Struct):
    state: str


class _Readiness(msgspec.Struct):
    status: str
    models: dict[str, _Health] = {}


class _Card(msgspec.Struct):
    id: str
    aliases: list[str] = []
    max_context_length: int = 0
    type: str = "base"
    archived: bool = False


class _Cards(msgspec.Struct):
    data: list[_Card]


def ask_running_server() -> RunningModels | None:
    """Query the server at PONANT_URL or the default URL; None if no server responds.

    Reading the aliases may need an API key, PONANT_API_KEY or MISTRAL_API_KEY. Reading the states needs none.
    """
    from ponant.client.sdk import DEFAULT_URL

    url = (os.environ.get("PONANT_URL") or DEFAULT_URL).rstrip("/")
    if url == DEFAULT_URL and not _accepts_connections(url):
        return None
    import httpx2  # here: it takes longer to import than the rest of the command

    key = os.environ.get("PONANT_API_KEY") or os.environ.get("MISTRAL_API_KEY")
    headers = {"authorization": f"Bearer {key}"} if key else {}
    try:
        with httpx2.Client(timeout=_PROBE_TIMEOUT_SECONDS, headers=headers) as client:
            readiness = msgspec.json.decode(client.get(f"{url}/ready").content, type=_Readiness)
            answer = client.get(f"{url}/v1/models")
            cards = msgspec.json.decode(answer.content, type=_Cards).data if answer.status_code == 200 else []
    except (httpx2.HTTPError, httpx2.InvalidURL, msgspec.MsgspecError):
        return None
    states = {name: health.state for name, health in readiness.models.items()}
    return RunningModels(
        url,
        states=states | {card.id: _state(card, states) for card in cards if card.type != "base"},
        aliases={card.id: card.aliases for card in cards},
        contexts={card.id: card.max_context_length for card in cards},
    )


def _accepts_connections(url: str) -> bool:
    parts = urlsplit(url)
    try:
        socket.create_connection((parts.hostname, parts.port), _PROBE_TIMEOUT_SECONDS).close()
    except OSError:
        return False
    return True


def _state(card: _Card, states: Mapping[str, str]) -> str:
    """Return the state of a fine-tuned model: that of its base, unless it is archived."""
    if card.archived:
        return "archived"
    return next((state for base, state in states.items() if card.id.startswith(f"ft:{base}:")), "unknown")
