"""HTTP transports that follow the environment. They prepare a proxy or TLS when an address first needs it."""

import contextlib
import os
import ssl
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Generic, TypeVar

import httpx2

from ponant.transports.addresses import check_connectable
from ponant.transports.proxies import EnvironmentProxies, NamedProxy

T = TypeVar("T")

_TLS_VARIABLES = ("SSL_CERT_FILE", "SSL_CERT_DIR", "SSLKEYLOGFILE")
_CONNECTING = (httpx2.ProxyError, httpx2.ConnectError, httpx2.ConnectTimeout)
"""Errors of requests that did not reach their server. Through a proxy, it is not known which of the two failed."""

CERTIFICATE_REFUSED = "CERTIFICATE_VERIFY_FAILED"
"""Part of the message of errors after which a server's certificate was refused."""


class UnusableSettingError(httpx2.RequestError):
    """A setting of the environment cannot be used. The message tells the user what to do."""


class ProxyFailedError(httpx2.ProxyError):
    """There is no connection through a proxy. The message tells the user what to do."""


@dataclass(frozen=True, slots=True)
class Route:
    """The way to an address: through a proxy or directly, encrypted or not."""

    proxy: NamedProxy | None
    is_encrypted: bool

    @contextlib.contextmanager
    def errors(self, request: httpx2.Request) -> Iterator[None]:
        """Name the proxy in the errors of a request."""
        try:
            yield
        except _CONNECTING as error:
            if self.proxy is None or CERTIFICATE_REFUSED in str(error):
                raise
            raise ProxyFailedError(
                f"the proxy {self.proxy} failed ({str(error) or type(error).__name__}). Correct {self.proxy.variable}, "
                f"or add {request.url.host} to NO_PROXY to connect without a proxy"
            ) from error


class EnvironmentTransport(httpx2.BaseTransport):
    """Transport with the proxies and TLS settings of the environment. This machine is reached without a proxy."""

    def __init__(self) -> None:
        """Open nothing yet."""
        self._routes = _Routes(httpx2.HTTPTransport)

    def handle_request(self, request: httpx2.Request) -> httpx2.Response:
        """Send a request on its route."""
        route, transport = self._routes.to(request.url)
        with route.errors(request):
            return transport.handle_request(request)

    def close(self) -> None:
        """Close all connections."""
        for transport in self._routes.opened():
            transport.close()


class AsyncEnvironmentTransport(httpx2.AsyncBaseTransport):
    """Async variant of ``EnvironmentTransport``."""

    def __init__(self) -> None:
        """Open nothing yet."""
        self._routes = _Routes(httpx2.AsyncHTTPTransport)

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        """Send a request on its route."""
        route, transport = self._routes.to(request.url)
        with route.errors(request):
            return await transport.handle_async_request(request)

    async def aclose(self) -> None:
        """Close all connections."""
        for transport in self._routes.opened():
            await transport.aclose()


class _Routes(Generic[T]):
    """The transports of routes, each made on first use. Thread-safe."""

    def __init__(self, kind: Callable[..., T]) -> None:
        self._kind = kind
        self._proxies: EnvironmentProxies | None = None
        self._tls: ssl.SSLContext | None = None
        self._opened: dict[Route, T] = {}
        self._lock = threading.Lock()

    def to(self, url: httpx2.URL) -> tuple[Route, T]:
        """Return the route to an address and its transport.

        Raises:
            UnusableSettingError: the environment has a setting that the route needs and that cannot be used.
        """
        with self._lock:
            self._proxies = self._proxies or EnvironmentProxies()
            route = Route(self._proxies.proxy_for(url), url.scheme == "https")
            if route not in self._opened:
                self._opened[route] = self._open(route)
            return route, self._opened[route]

    def opened(self) -> list[T]:
        """Return the transports that were made."""
        with self._lock:
            return list(self._opened.values())

    def _open(self, route: Route) -> T:
        tls = self._tls_context() if route.is_encrypted else ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        if route.proxy is None:
            return self._kind(verify=tls)
        try:
            address = httpx2.URL(route.proxy.address)
            check_connectable(address.host, address.port)
            to_proxy = self._tls_context() if address.scheme == "https" else None
            return self._kind(verify=tls, proxy=httpx2.Proxy(address, ssl_context=to_proxy))
        except ImportError as error:
            reason = "SOCKS needs the package socksio, which is not installed. Install it (pip install socksio)"
            raise UnusableSettingError(f"the proxy {route.proxy} cannot be used: {reason}") from error
        except (ValueError, httpx2.InvalidURL) as error:
            raise UnusableSettingError(
                f"the proxy {route.proxy} cannot be used. Set {route.proxy.variable} to an address that begins with "
                "http://, https:// or socks5://, or remove it"
            ) from error

    def _tls_context(self) -> ssl.SSLContext:
        if self._tls is None:
            try:
                self._tls = httpx2.create_ssl_context()
            except (OSError, ValueError) as error:
                given = ", ".join(f"{name}={os.environ[name]}" for name in _TLS_VARIABLES if os.environ.get(name))
                raise UnusableSettingError(
                    f"the TLS settings of the environment cannot be used ({given or 'no variable is set'}): {error}. "
                    "Correct or remove these variables"
                ) from error
        return self._tls
