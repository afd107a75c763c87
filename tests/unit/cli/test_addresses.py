"""Where a gateway listens and where it is reached."""

import socket

import pytest

from cli.addresses import gateway_url, require_free_port
from cli.failures import CommandError


@pytest.mark.parametrize(
    ("host", "url"),
    [
        ("127.0.0.1", "http://127.0.0.1:80"),
        ("localhost", "http://localhost:80"),
        ("::1", "http://[::1]:80"),
        ("fe80::1%eth0", "http://[fe80::1%eth0]:80"),
        ("0.0.0.0", "http://127.0.0.1:80"),
        ("::", "http://[::1]:80"),
    ],
)
def test_an_address_to_call_it_by(host: str, url: str) -> None:
    assert gateway_url(host, 80) == url


@pytest.mark.parametrize("host", ["127.0.0.1", "0.0.0.0", "localhost", "::1", "::"])
def test_a_free_port_is_free_on_every_address_of_the_host(host: str) -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    require_free_port(host, port)


@pytest.mark.parametrize(
    ("host", "said"),
    [
        ("nowhere.invalid", "cannot be resolved"),
        ("[::1]", "cannot be resolved"),
        ("a" * 70 + ".example", "cannot be resolved"),
        ("192.0.2.1", "cannot listen there"),
        ("2001:db8::1", "cannot listen there"),
    ],
)
def test_another_machines_address_is_named(host: str, said: str) -> None:
    with pytest.raises(CommandError, match=said) as raised:
        require_free_port(host, 8000)
    assert f"LETHE_HOST {host}" in str(raised.value)


def test_a_port_in_use_is_named() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(CommandError, match=f"LETHE_PORT {port}: cannot listen there .*in use"):
            require_free_port("127.0.0.1", port)
