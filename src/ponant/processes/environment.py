"""The environment of child processes, without the secrets of this process."""

import re
from collections.abc import Mapping

_SECRET_WORDS = frozenset(
    [
        "APIKEY",
        "AUTHTOKEN",
        "CREDENTIAL",
        "CREDENTIALS",
        "KEY",
        "KEYS",
        "PASS",
        "PASSPHRASE",
        "PASSWD",
        "PASSWORD",
        "PASSWORDS",
        "PAT",
        "SECRET",
        "SECRETS",
        "TOKEN",
        "TOKENS",
    ]
)
_SECRET_VALUE = re.compile(r"\w://[^/@\s]+@|password=", re.IGNORECASE)
"""A URL with a password or a user, as in ``PONANT_DATABASE_URL``."""


def without_secrets(environment: Mapping[str, str]) -> dict[str, str]:
    """Return an environment without its keys, tokens and passwords. Child processes need none of them.

    A variable is a secret if a word of its name says so (``PONANT_API_KEY``, ``HF_TOKEN``), or if its value is a URL
    with a password. Proxies keep theirs.
    """
    return {name: value for name, value in environment.items() if not _is_secret(name.upper(), value)}


def _is_secret(name: str, value: str) -> bool:
    if _SECRET_WORDS.intersection(name.split("_")):
        return True
    return not name.endswith("_PROXY") and _SECRET_VALUE.search(value) is not None
