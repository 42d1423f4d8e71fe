"""The documents of a server, by the address that its clients use."""

import json
import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Literal, TypeAlias, TypeVar

from fastapi import FastAPI

from ponant.catalog.catalog import Catalog
from ponant.settings import Settings

if TYPE_CHECKING:
    from ponant.server.document.defaults import ModelDefaults

Api: TypeAlias = Literal["mistral", "nim"]
"""The Mistral API, or NIM's dialect of it."""
Json: TypeAlias = dict[str, Any]
K = TypeVar("K")
V = TypeVar("V")

_PREFIXES: dict[Api, str] = {"mistral": "", "nim": "/nim"}
"""Paths of the documents' operations on the server."""
_MOST_KEPT = 16
"""Most documents that are kept."""


class Documents:
    """The documents of a server.

    The texts are imported when a document is built for the first time: many servers never need them.
    """

    def __init__(self, app: FastAPI, catalog: Catalog, settings: Settings) -> None:
        """Use the routes of an application, all of which must be there before the first call of ``document``."""
        self._app = app
        self._catalog = catalog
        self._settings = settings
        self._has_keys = bool(settings.api_keys)
        self._building = threading.Lock()
        self._built: dict[tuple[Api, ModelDefaults], Json] = {}
        self._written: dict[tuple[Api, ModelDefaults, str], bytes] = {}

    def document(self, api: Api, address: str) -> bytes:
        """Return the JSON of a document. Blocks: building one takes half a second.

        Args:
            api: the API.
            address: scheme, host and port by which the client calls the server.
        """
        with self._building:
            from ponant.server.document.defaults import read_defaults

            settings = self._settings
            defaults = read_defaults(
                self._catalog, temperature=settings.default_temperature, public_names=settings.public_names
            )
            return _kept(self._written, (api, defaults, address), lambda: self._write(api, defaults, address))

    def _write(self, api: Api, defaults: "ModelDefaults", address: str) -> bytes:
        """Return the JSON of a document with the servers and the samples for an address."""
        from ponant.server.code_samples import with_samples
        from ponant.server.document.frame import servers_of

        document = _kept(self._built, (api, defaults), lambda: self._build(api, defaults))
        prefix = _PREFIXES[api]
        environments = {name: f"{url}{prefix}" for name, url in self._settings.environments.items()}
        served = f"{address}{prefix}"
        written = with_samples(document, served, has_keys=self._has_keys) | {
            "servers": servers_of(served, environments)
        }
        return json.dumps(written, ensure_ascii=False, separators=(",", ":")).encode()

    def _build(self, api: Api, defaults: "ModelDefaults") -> Json:
        if api == "nim":
            from ponant.server.document.nim import build_nim

            return build_nim(self._app, defaults, has_keys=self._has_keys)
        from ponant.server.document.mistral import build_mistral

        return build_mistral(self._app, defaults, self._settings, has_keys=self._has_keys)


def _kept(cache: dict[K, V], key: K, make: Callable[[], V]) -> V:
    """Return the value of a key; make it if it is missing, in place of the oldest one if there are many."""
    if key not in cache:
        if len(cache) >= _MOST_KEPT:
            del cache[next(iter(cache))]
        cache[key] = make()
    return cache[key]
