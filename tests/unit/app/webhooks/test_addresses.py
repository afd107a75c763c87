"""Where a webhook may go (R-44): a corpus of URLs and addresses, each with what is to be said of it."""

from __future__ import annotations

import pytest

from app.webhooks.addresses import AddressRefused, UrlRefused, allowed_addresses, is_allowed, parse_target

REFUSED_URLS = [
    # Other schemes.
    ("http://hooks.example.com/", "not_https"),
    ("HTTP://hooks.example.com/", "not_https"),
    ("ftp://hooks.example.com/", "not_https"),
    ("file:///etc/passwd", "not_https"),
    ("gopher://hooks.example.com/", "not_https"),
    ("//hooks.example.com/", "not_https"),
    ("hooks.example.com", "not_https"),
    ("javascript:alert(1)", "not_https"),
    ("", "not_https"),
    # Other ports.
    ("https://hooks.example.com:80/", "port_refused"),
    ("https://hooks.example.com:22/", "port_refused"),
    ("https://hooks.example.com:6379/", "port_refused"),
    ("https://hooks.example.com:0/", "port_refused"),
    ("https://hooks.example.com:65535/", "port_refused"),
    ("https://hooks.example.com:65536/", "url_malformed"),
    ("https://hooks.example.com:-1/", "url_malformed"),
    ("https://hooks.example.com:https/", "url_malformed"),
    ("https://hooks.example.com:/", "url_malformed"),
    # Names and passwords, and what only looks like a host.
    ("https://user@hooks.example.com/", "url_not_plain"),
    ("https://user:password@hooks.example.com/", "url_not_plain"),
    ("https://hooks.example.com@127.0.0.1/", "url_not_plain"),
    ("https://@hooks.example.com/", "url_not_plain"),
    ("https://hooks.example.com#@127.0.0.1/", "url_not_plain"),
    ("https://hooks.example.com/#", "url_not_plain"),
    ("https://hooks.example.com\\@127.0.0.1/", "url_malformed"),
    ("https:\\\\hooks.example.com/", "url_malformed"),
    ("https://hooks.example.com\t.evil.example/", "url_malformed"),
    ("https://hooks.example.com/\r\nHost: other", "url_malformed"),
    ("https://hooks.example.com/a b", "url_malformed"),
    (" https://hooks.example.com/", "url_malformed"),
    ("https://hooks.example.com/ü", "url_malformed"),
    ("https://hooks.example.com/" + "a" * 2048, "url_malformed"),
    # No host, or an address in place of one, in every spelling that some library takes.
    ("https://", "not_a_host_name"),
    ("https:///path", "not_a_host_name"),
    ("https://./", "not_a_host_name"),
    ("https://127.0.0.1/", "not_a_host_name"),
    ("https://8.8.8.8/", "not_a_host_name"),
    ("https://127.1/", "not_a_host_name"),
    ("https://2130706433/", "not_a_host_name"),
    ("https://0177.0.0.1/", "not_a_host_name"),
    ("https://0x7f.0.0.1/", "not_a_host_name"),
    ("https://0x7f000001/", "not_a_host_name"),
    ("https://0X7F000001/", "not_a_host_name"),
    ("https://017700000001/", "not_a_host_name"),
    ("https://127.0.0.0x1/", "not_a_host_name"),
    ("https://127.0.0.1./", "not_a_host_name"),
    ("https://0/", "not_a_host_name"),
    ("https://example.0x/", "not_a_host_name"),
    ("https://①②⑦.⓪.⓪.①/", "not_a_host_name"),
    ("https://１２７.０.０.１/", "not_a_host_name"),
    ("https://127。0。0。1/", "not_a_host_name"),
    ("https://%31%32%37.0.0.1/", "not_a_host_name"),
    ("https://[::1]/", "not_a_host_name"),
    ("https://[::ffff:127.0.0.1]/", "not_a_host_name"),
    ("https://[2606:4700::1111]/", "not_a_host_name"),
    ("https://[fe80::1%25eth0]/", "not_a_host_name"),
    ("https://[::1/", "url_malformed"),
    # Names that are no public host's.
    ("https://localhost/", "not_a_host_name"),
    ("https://LOCALHOST/", "not_a_host_name"),
    ("https://localhost./", "not_a_host_name"),
    ("https://ⓛⓞⓒⓐⓛⓗⓞⓢⓣ/", "not_a_host_name"),
    ("https://hooks.localhost/", "not_a_host_name"),
    ("https://intranet/", "not_a_host_name"),
    ("https://-hooks.example.com/", "not_a_host_name"),
    ("https://hooks..example.com/", "not_a_host_name"),
    ("https://hooks_1.example.com/", "not_a_host_name"),
    ("https://" + "a" * 64 + ".example.com/", "not_a_host_name"),
    ("https://" + "a." * 127 + "example.com/", "not_a_host_name"),
    ("https://xn--/", "not_a_host_name"),
]
ALLOWED_URLS = [
    ("https://hooks.example.com", "https://hooks.example.com/"),
    ("https://hooks.example.com:443/in?token=1&b=", "https://hooks.example.com/in?token=1&b="),
    ("HTTPS://Hooks.Example.COM.:8443/In", "https://hooks.example.com:8443/In"),
    ("https://bücher.example/", "https://xn--bcher-kva.example/"),
    ("https://ｈooks.example.com/", "https://hooks.example.com/"),
    ("https://1.example.com/", "https://1.example.com/"),
    ("https://hooks.example.com//a/../b", "https://hooks.example.com//a/../b"),
]
REFUSED_ADDRESSES = [
    "0.0.0.0", "0.1.2.3", "10.0.0.1", "10.255.255.255", "100.64.0.1", "100.100.100.200", "127.0.0.1",
    "127.255.255.254", "168.63.129.16", "169.254.0.1", "169.254.169.254", "169.254.170.2", "172.16.0.1",
    "172.31.255.255", "192.0.0.8", "192.0.0.192", "192.0.2.1", "192.88.99.1", "192.168.0.1", "198.18.0.1",
    "198.19.255.255", "198.51.100.1", "203.0.113.1", "224.0.0.1", "239.255.255.255", "240.0.0.1", "255.255.255.255",
    "::", "::1", "::127.0.0.1", "::8.8.8.8", "::ffff:10.0.0.1", "::ffff:127.0.0.1", "::ffff:8.8.8.8", "::ffff:0:7f00:1",
    "64:ff9b::7f00:1", "64:ff9b::808:808", "64:ff9b:1::1", "100::1", "2001::1", "2001:0:7f00:1::", "2001:db8::1",
    "2002:7f00:1::", "2002:a9fe:a9fe::", "fc00::1", "fd00:ec2::254", "fd12:3456::1", "fe80::1", "fe80::1%eth0",
    "fec0::1", "ff02::1", "2606:4700::1%1", "hooks.example.com", "8.8.8", "",
]  # fmt: skip
ALLOWED_ADDRESSES = ["8.8.8.8", "1.1.1.1", "93.184.216.34", "100.63.255.255", "172.32.0.1", "2606:4700::1111"]
# With the setting for development.
NEARBY = ["127.0.0.1", "10.0.0.1", "172.20.0.2", "192.168.1.1", "::1", "fd12:3456::1"]


def test_the_corpus_is_as_large_as_it_is_said_to_be() -> None:
    assert len({url for url, _ in REFUSED_URLS}) == len(REFUSED_URLS) >= 60
    assert len(set(REFUSED_ADDRESSES)) == len(REFUSED_ADDRESSES) >= 50


@pytest.mark.parametrize(("url", "code"), REFUSED_URLS)
def test_a_url_is_refused_and_not_quoted(url: str, code: str) -> None:
    with pytest.raises(UrlRefused) as raised:
        parse_target(url)
    assert raised.value.code == code
    assert not url or url not in str(raised.value)


@pytest.mark.parametrize(("url", "checked"), ALLOWED_URLS)
def test_a_url_is_taken_in_one_spelling(url: str, checked: str) -> None:
    assert parse_target(url).url == checked
    assert parse_target(checked).url == checked


@pytest.mark.parametrize("address", REFUSED_ADDRESSES)
def test_an_address_is_refused_alone_and_beside_a_good_one(address: str) -> None:
    assert not is_allowed(address)
    for beside in ([address], ["8.8.8.8", address], [address, "2606:4700::1111"]):
        with pytest.raises(AddressRefused):
            allowed_addresses("hooks.example.com", 443, lambda _host, _port, found=beside: found)  # type: ignore[misc]


def test_public_addresses_are_allowed() -> None:
    found = allowed_addresses("hooks.example.com", 443, lambda _host, _port: ALLOWED_ADDRESSES)
    assert found == ALLOWED_ADDRESSES
    with pytest.raises(OSError, match="no address"):
        allowed_addresses("hooks.example.com", 443, lambda _host, _port: [])


@pytest.mark.parametrize("address", REFUSED_ADDRESSES)
def test_in_development_this_machine_and_private_networks_are_allowed_and_nothing_else(address: str) -> None:
    private = (
        address.startswith(("127.", "10.", "172.16.", "172.31.", "192.168.", "fc00", "fd12"))
        or address == "::1"
    )
    assert is_allowed(address, private=True) is private


def test_in_development_a_host_needs_no_domain_and_any_port_but_still_https() -> None:
    assert all(is_allowed(address, private=True) for address in NEARBY)
    assert parse_target("https://localhost:9000/in", private=True).url == "https://localhost:9000/in"
    for url in ("http://localhost/", "https://127.0.0.1/", "https://user@localhost/"):
        with pytest.raises(UrlRefused):
            parse_target(url, private=True)
