"""Proxies of the environment: HTTP_PROXY, HTTPS_PROXY, ALL_PROXY and NO_PROXY, in capitals or not."""

import os
from dataclasses import dataclass
from ipaddress import ip_address, ip_network
from urllib.request import getproxies

import httpx2

from ponant.transports.addresses import is_this_machine


@dataclass(frozen=True, slots=True)
class NamedProxy:
    """A proxy: its address, and the variable that sets it."""

    address: str
    variable: str

    def __str__(self) -> str:
        """Return the address without its password, and the variable."""
        scheme, _, rest = self.address.rpartition("://")
        user, at, place = rest.rpartition("@")
        hidden = f"{user.partition(':')[0]}:***@" if ":" in user else user + at
        return f"{scheme}://{hidden}{place} ({self.variable})"


class EnvironmentProxies:
    """The proxies of the environment, read once."""

    def __init__(self) -> None:
        """Read the environment."""
        self._addresses = getproxies()
        self._exclusions = [entry.strip() for entry in self._addresses.get("no", "").split(",") if entry.strip()]

    def proxy_for(self, url: httpx2.URL) -> NamedProxy | None:
        """Return the proxy for a URL; None if it is reached directly, as this machine always is."""
        scheme = url.scheme if self._addresses.get(url.scheme) else "all"
        address = self._addresses.get(scheme)
        if not address or any(_excludes(entry, url) for entry in self._exclusions) or is_this_machine(url.host):
            return None
        return NamedProxy(address if "://" in address else f"http://{address}", _variable(scheme))


def clear_text_proxy(url: str) -> NamedProxy | None:
    """Return the proxy that could read requests to a URL, and their keys; None if there is none."""
    try:
        read = httpx2.URL(url)
    except httpx2.InvalidURL:
        return None
    return EnvironmentProxies().proxy_for(read) if read.scheme == "http" else None


def _variable(scheme: str) -> str:
    names = (f"{scheme}_proxy", f"{scheme}_proxy".upper())
    return next((name for name in names if os.environ.get(name)), "the system's proxy settings")


def _excludes(entry: str, url: httpx2.URL) -> bool:
    """Return True if an entry of NO_PROXY contains a URL: a domain, an address or a network, or * for all."""
    scheme, _, place = entry.rpartition("://")
    if scheme not in ("", "all", url.scheme):
        return False
    place = place.rstrip("/").lower()
    if place == "*" or _is_in_network(url.host, place):
        return True
    host, colon, port = place.rpartition(":")
    if not (colon and port.isdecimal()):
        host, port = place, ""
    domain = host.strip("[]").lstrip("*").lstrip(".")
    has_port = not port or int(port) == (url.port or {"http": 80, "https": 443}.get(url.scheme))
    return bool(domain) and has_port and (url.host == domain or url.host.endswith(f".{domain}"))


def _is_in_network(host: str, network: str) -> bool:
    try:
        return ip_address(host) in ip_network(network.replace("[", "").replace("]", ""), strict=False)
    except ValueError:
        return False
