"""Where a webhook may go: to hosts on the public internet, by https, and nowhere else.

Whoever registers an endpoint chooses where this service connects to from inside its network. So the URL is checked when
it is registered, and the addresses behind its name at every attempt: all of them must be allowed, and the connection
goes to one of those that were checked. A name that resolves to something else the second time gains nothing.
"""

from __future__ import annotations

import ipaddress
import re
import socket
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address
from urllib.parse import SplitResult, urlsplit

import idna

LONGEST_URL = 2048
_PORTS = (443, 8443)
# The last label of a name that browsers and C libraries read as an IPv4 address: 127.1, 0x7f.1, 2130706433, 0177.0.0.1.
_NUMBER = re.compile(r"[0-9]+|0x[0-9a-f]*")
_LABEL = re.compile(r"(?!-)[a-z0-9-]{1,63}(?<!-)")

Address = IPv4Address | IPv6Address
# The addresses of a host, as text. May raise OSError.
Resolve = Callable[[str, int], Sequence[str]]

# Blocked also where private addresses are allowed.
_NEVER = tuple(
    ipaddress.ip_network(network)
    for network in (
        "0.0.0.0/8",
        "100.64.0.0/10",  # carrier-grade NAT; has the metadata service of Alibaba Cloud
        "168.63.129.16/32",  # Azure's, although it looks public
        "169.254.0.0/16",  # link-local; has most clouds' metadata services
        "192.0.0.0/24",  # protocol assignments; has the metadata service of Oracle Cloud
        "192.88.99.0/24",  # 6to4 relays
        "224.0.0.0/4",
        "240.0.0.0/4",
        # IPv4 addresses inside IPv6 addresses.
        "::/96",
        "::ffff:0:0/96",
        "::ffff:0:0:0/96",
        "64:ff9b::/96",
        "64:ff9b:1::/48",
        "2001::/32",
        "2002::/16",
        "fd00:ec2::/32",  # has Amazon's metadata service
        "fe80::/10",
        "fec0::/10",
        "ff00::/8",
    )
)
# Loopback and private: allowed by a setting, in development.
_NEARBY = tuple(
    ipaddress.ip_network(network)
    for network in ("127.0.0.0/8", "10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "::1/128", "fc00::/7")
)


class UrlRefused(ValueError):
    """The URL is not one that webhooks may go to. ``code`` says why; the message does not quote the URL."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


class AddressRefused(Exception):
    """The name leads to an address that webhooks may not go to."""


@dataclass(frozen=True)
class Target:
    """A URL that was checked. ``host`` is in ASCII and lower case; ``path`` includes the query."""

    host: str
    port: int
    path: str

    @property
    def url(self) -> str:
        port = "" if self.port == 443 else f":{self.port}"
        return f"https://{self.host}{port}{self.path}"


def parse_target(url: str, *, private: bool = False) -> Target:
    """Check a URL.

    Args:
        url: the URL as it was registered.
        private: whether hosts of the own network and other ports are allowed.

    Raises:
        UrlRefused: webhooks may not go there.
    """
    if len(url) > LONGEST_URL or any(ord(character) <= 32 or character in "\\\x7f" for character in url):
        raise UrlRefused("url_malformed", "must be a URL without spaces, of at most 2048 characters")
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError as error:
        raise UrlRefused("url_malformed", "is not a URL") from error
    if parts.scheme != "https":
        raise UrlRefused("not_https", "must begin with https://")
    if "@" in parts.netloc or parts.fragment or "#" in url:
        raise UrlRefused("url_not_plain", "must have no user name, no password and no fragment")
    if port is None and parts.netloc.endswith(":"):
        raise UrlRefused("url_malformed", "is not a URL")
    if not private and port not in (None, *_PORTS):
        raise UrlRefused("port_refused", "must use the port 443 or 8443")
    return Target(_host(parts, private), 443 if port is None else port, _path(parts))


def _host(parts: SplitResult, private: bool) -> str:
    if not parts.hostname or "[" in parts.netloc:
        raise UrlRefused("not_a_host_name", "must name a host, not an address")
    try:
        # Full-width digits and the like become the characters that they stand for, before the name is looked at.
        host = idna.encode(parts.hostname, uts46=True).decode().lower().removesuffix(".")
    except idna.IDNAError as error:
        raise UrlRefused("not_a_host_name", "must name a host, in the spelling of the DNS") from error
    labels = host.split(".")
    if len(host) > 253 or not all(_LABEL.fullmatch(label) for label in labels):
        raise UrlRefused("not_a_host_name", "must name a host, in the spelling of the DNS")
    if _NUMBER.fullmatch(labels[-1]):
        raise UrlRefused("not_a_host_name", "must name a host, not an address")
    if not private and (len(labels) < 2 or labels[-1] == "localhost"):
        raise UrlRefused("not_a_host_name", "must name a host with its domain")
    return host


def _path(parts: SplitResult) -> str:
    path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    if not path.isascii():
        raise UrlRefused("url_malformed", "must be percent-encoded")
    return path


def system_resolve(host: str, port: int) -> Sequence[str]:
    """All addresses of a host, A and AAAA, as the system knows them."""
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(address[4][0]) for address in found))


def allowed_addresses(host: str, port: int, resolve: Resolve, *, private: bool = False) -> list[str]:
    """The addresses of a host, all of which may be connected to.

    Raises:
        AddressRefused: one of them may not.
        OSError: the host has no address.
    """
    addresses = resolve(host, port)
    if not addresses:
        raise OSError("no address")
    if not all(is_allowed(address, private=private) for address in addresses):
        raise AddressRefused
    return list(addresses)


def is_allowed(text: str, *, private: bool = False) -> bool:
    """Whether webhooks may go to this address.

    Source of what is global: the IANA registries of special-purpose addresses, as Python's `ipaddress` has them. The
    list above is ours, because that module's view has changed with its versions.
    """
    try:
        address: Address = ipaddress.ip_address(text)
    except ValueError:
        return False
    if isinstance(address, IPv6Address) and address.scope_id is not None:
        return False
    nearby = any(address in network for network in _NEARBY)
    # It lies among the IPv6 addresses that hold an IPv4 address, and holds none.
    loopback = address == IPv6Address("::1")
    if not loopback and any(address in network for network in _NEVER):
        return False
    return private if nearby else address.is_global and not address.is_multicast
