"""API keys of clients: where they come from, and the header that they are sent in."""

import os

VARIABLES = ("PONANT_API_KEY", "MISTRAL_API_KEY")
"""Environment variables with a key, the preferred one first."""


def key_of_environment() -> str | None:
    """Return the first key of the environment that is not blank; None if there is none."""
    return next((key for name in VARIABLES if (key := os.environ.get(name, "").strip())), None)


def authorization(key: str | None) -> dict[str, str]:
    """Return the header with a key; no header for a blank key."""
    key = (key or "").strip()
    return {"authorization": f"Bearer {key}"} if key else {}
