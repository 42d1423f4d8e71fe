"""Parts that both documents share: security, tags, servers, and the end of descriptions."""

import datetime
from collections.abc import Mapping
from typing import Any

Json = dict[str, Any]

_SCHEME = "Bearer"
SECURITY_SCHEMES: Json = {
    _SCHEME: {
        "type": "http",
        "scheme": "bearer",
        "description": "One of the server's keys (setting `api_keys`). A server without keys ignores it.",
    }
}


def security(*, has_keys: bool) -> list[Json]:
    """Return the security requirements: a key, or nothing in its place where the server has no keys."""
    return [{_SCHEME: []}] if has_keys else [{}, {_SCHEME: []}]


def tags_of(tags: Mapping[str, tuple[str, str]]) -> list[Json]:
    """Return the tags, given their names for people and descriptions by name."""
    return [{"name": name, "x-displayName": title, "description": text} for name, (title, text) in tags.items()]


def servers_of(address: str, environments: Mapping[str, str]) -> list[Json]:
    """Return this server and the other ones of the settings."""
    return [
        {"url": address, "description": "This server"},
        *({"url": url, "description": name} for name, url in environments.items()),
    ]


def with_footer(text: str, modified: datetime.date, following: str = "") -> str:
    """Return a description with the date of the last change, and the next operation; an empty text for none."""
    end = f"Modified at {modified.isoformat()}."
    return f"{text}\n\n{end} Next: {following}." if following else f"{text}\n\n{end}"
