"""Addresses and names of this machine."""

import socket
from ipaddress import IPv4Address, IPv6Address, ip_address
from pathlib import Path

_HOSTS = Path("/etc/hosts")
_LOOPBACK_NAMES = frozenset({"localhost", "localhost.localdomain", "ip6-localhost", "ip6-loopback"})


def is_this_machine(host: str) -> bool:
    """Return True if the host of a URL is this machine.

    These are loopback addresses, 0.0.0.0 and ::, the addresses of its network interfaces, ``localhost``, its host name,
    and names with such an address in the hosts file. Names are not looked up in the DNS.
    """
    name = host.strip("[]").rstrip(".").lower()
    address = _address(name)
    if address is not None:
        return _is_own(address)
    if name in _LOOPBACK_NAMES or name.endswith(".localhost"):
        return True
    return name in _host_names() or any(_is_own(found) for found in _addresses_in_hosts_file(name))


def check_connectable(host: str, port: int | None) -> None:
    """Raise ValueError if a host or a port is none that a connection can be opened to."""
    if not host:
        raise ValueError("there is no host")
    if port is not None and not 0 < port < 65536:
        raise ValueError(f"the port {port} is not between 1 and 65535")
    host.encode("idna")  # raises UnicodeError for a name that cannot be looked up


def _address(text: str) -> IPv4Address | IPv6Address | None:
    """Return an IP address, also in a short form such as 127.1; None for a name."""
    try:
        return ip_address(text)
    except ValueError:
        pass
    try:
        return IPv4Address(socket.inet_aton(text))
    except (OSError, UnicodeError):
        return None


def _is_own(address: IPv4Address | IPv6Address) -> bool:
    if isinstance(address, IPv6Address) and address.ipv4_mapped:
        address = address.ipv4_mapped
    if address.is_loopback or address.is_unspecified:
        return True
    if address.is_multicast:
        return False
    family = socket.AF_INET if address.version == 4 else socket.AF_INET6
    try:
        with socket.socket(family, socket.SOCK_DGRAM) as probe:
            probe.bind((str(address), 0))  # only addresses of own interfaces can be bound
    except OSError:
        return False
    return True


def _host_names() -> set[str]:
    name = socket.gethostname().lower()
    short = name.partition(".")[0]
    return {name, short, f"{short}.local"} - {""}


def _addresses_in_hosts_file(name: str) -> list[IPv4Address | IPv6Address]:
    try:
        lines = _HOSTS.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return []
    entries = [line.partition("#")[0].lower().split() for line in lines]
    found = (_address(entry[0]) for entry in entries if name in entry[1:])
    return [address for address in found if address]
