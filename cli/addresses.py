"""The gateway's addresses: where it listens, and the URL that reaches it."""

from __future__ import annotations

import socket
from ipaddress import ip_address

from cli.failures import CommandError

# A server can listen on these addresses, but nobody can call them.
_ANYWHERE = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104  (compared with, not bound to)


def gateway_url(host: str, port: int) -> str:
    """The URL of a gateway on this machine. An IPv6 address is put in brackets."""
    host = _ANYWHERE.get(host, host)
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def is_loopback(host: str) -> bool:
    """Whether `host` is a loopback address: data sent there never leave this machine."""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def require_free_port(host: str, port: int) -> None:
    """Check that the gateway can listen there.

    Raises:
        CommandError: another process listens there already, or the address is not this machine's.
    """
    where = f"LETHE_HOST {host}, LETHE_PORT {port}"
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    except (OSError, UnicodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        raise CommandError(f"{where}: the host cannot be resolved ({reason}); name an address") from error
    for family, kind, protocol, _, address in found:
        try:
            with socket.socket(family, kind, protocol) as probe:
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                if family == socket.AF_INET6:
                    probe.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
                probe.bind(address)
        except OSError as error:
            raise CommandError(
                f"{where}: cannot listen there ({error.strerror}); stop what uses it or choose another port"
            ) from error
