"""One attempt, at real HTTPS servers: where it goes, how long it takes and what it reads (R-44)."""

from __future__ import annotations

import socket
import ssl
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing

import pytest
import trustme

from app.webhooks.addresses import allowed_addresses
from app.webhooks.sending import Code, Sender
from tests.receivers import HOST, LOOPBACK, Received, Receiver, receiver, to_loopback


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture
def running(authority: trustme.CA) -> Iterator[Receiver]:
    with receiver(authority) as opened:
        yield opened


def sender(
    running: Receiver,
    resolve: Callable[[str, int], Sequence[str]] = to_loopback,
    *,
    private: bool = True,
    total_seconds: float = 15.0,
) -> Sender:
    return Sender(private=private, trusted=running.trusted, resolve=resolve, total_seconds=total_seconds)


def test_it_goes_to_the_checked_address_under_the_name_that_was_registered(running: Receiver) -> None:
    answer = sender(running).send(running.url("/in?a=1"), {"webhook-id": "evt_1"}, b'{"a": 1}')
    assert (answer.code, answer.status) == (Code.DELIVERED, 204)
    [received] = running.received
    assert (received.path, received.body) == ("/in?a=1", b'{"a": 1}')
    assert received.server_name == HOST
    assert received.headers["Host"] == f"{HOST}:{running.port}"
    assert received.headers["Content-Type"] == "application/json"
    assert received.headers["webhook-id"] == "evt_1"


def test_a_certificate_of_another_name_or_authority_is_refused(
    running: Receiver, authority: trustme.CA
) -> None:
    # The address is the same, so only the name tells.
    other_name = running.url(host="other.example")
    assert sender(running).send(other_name, {}, b"").code is Code.TLS_FAILED
    untrusting = Sender(private=True, resolve=to_loopback)
    assert untrusting.send(running.url(), {}, b"").code is Code.TLS_FAILED
    assert running.received == []


def test_a_name_that_leads_elsewhere_the_second_time_is_refused_the_second_time(running: Receiver) -> None:
    """Outside of development: a public address when it is looked at first, and then the machine itself."""
    answers = [[LOOPBACK], ["169.254.169.254"], ["8.8.8.8", "::ffff:127.0.0.1"], ["8.8.8.8", LOOPBACK]]
    guarded = sender(running, lambda *_: answers.pop(0), private=False)
    assert allowed_addresses(HOST, 443, lambda *_: ["8.8.8.8"]) == ["8.8.8.8"]
    for _ in range(4):
        assert guarded.send(f"https://{HOST}/in", {}, b"").code is Code.ADDRESS_REFUSED
    assert answers == []
    # In development it leads from this machine to where no webhook may ever go.
    answers += [[LOOPBACK], ["169.254.169.254"]]
    nearby = sender(running, lambda *_: answers.pop(0))
    assert nearby.send(running.url(), {}, b"").code is Code.DELIVERED
    assert nearby.send(running.url(), {}, b"").code is Code.ADDRESS_REFUSED
    assert len(running.received) == 1


def test_it_connects_to_what_was_checked_and_looks_nothing_up_again(running: Receiver) -> None:
    """Each attempt looks the name up once. A second look-up, by the connection, could lead elsewhere."""
    looked_up: list[str] = []

    def once(host: str, _port: int) -> list[str]:
        looked_up.append(host)
        return [LOOPBACK]

    # No resolver knows this name: whoever looked it up again would fail.
    assert sender(running, once).send(running.url(), {}, b"").code is Code.DELIVERED
    assert looked_up == [HOST]


def test_where_one_of_its_addresses_is_not_answered_the_next_is_tried(running: Receiver) -> None:
    assert sender(running, lambda *_: ["::1", LOOPBACK]).send(running.url(), {}, b"").code is Code.DELIVERED


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_redirect_is_a_failure_and_is_not_followed(running: Receiver, status: int) -> None:
    def redirect(received: Received) -> tuple[int, dict[str, str], bytes]:
        step = int(received.path.rpartition("/")[2] or 0)
        return status, {"Location": running.url(f"/{step + 1}")}, b""

    running.answering = redirect
    answer = sender(running).send(running.url("/0"), {}, b"")
    assert (answer.code, answer.status) == (Code.REDIRECTED, status)
    assert [received.path for received in running.received] == ["/0"]


@pytest.mark.parametrize(
    ("status", "code"),
    [
        (200, Code.DELIVERED),
        (299, Code.DELIVERED),
        (404, Code.STATUS_REFUSED),
        (410, Code.GONE),
        (500, Code.STATUS_REFUSED),
    ],
)
def test_the_status_decides(running: Receiver, status: int, code: Code) -> None:
    running.answering = lambda _: (status, {}, b"ok")
    answer = sender(running).send(running.url(), {}, b"")
    assert (answer.code, answer.status, answer.body) == (code, status, b"ok")


def test_of_a_long_answer_only_the_beginning_is_read(running: Receiver) -> None:
    running.answering = lambda _: (200, {}, b"x" * 10_000_000)
    answer = sender(running).send(running.url(), {}, b"")
    assert (answer.code, len(answer.body)) == (Code.DELIVERED, 4096)


def test_what_is_not_there_or_not_allowed_is_told_apart(running: Receiver) -> None:
    def nowhere(_host: str, _port: int) -> list[str]:
        raise socket.gaierror

    assert sender(running, nowhere).send(running.url(), {}, b"").code is Code.NAME_UNKNOWN
    assert sender(running, lambda *_: []).send(running.url(), {}, b"").code is Code.NAME_UNKNOWN
    assert sender(running).send("http://receiver.example/", {}, b"").code is Code.URL_REFUSED
    with closing(socket.create_server((LOOPBACK, 0))) as unused:
        port = unused.getsockname()[1]
    assert sender(running).send(f"https://{HOST}:{port}/", {}, b"").code is Code.NOT_CONNECTED


@pytest.mark.parametrize("sent", [b"", b"HTTP/1.1 200 OK\r\nX: ", b"no HTTP at all\r\n\r\n"])
def test_who_answers_slowly_or_not_at_all_is_left(authority: trustme.CA, sent: bytes) -> None:
    """Every byte that comes makes a limit for single reads begin anew, but not the limit for all."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert(HOST).configure_cert(context)
    stop = threading.Event()
    with closing(socket.create_server((LOOPBACK, 0))) as listening:

        def drip() -> None:
            with (
                closing(listening.accept()[0]) as raw,
                closing(context.wrap_socket(raw, server_side=True)) as open_,
            ):
                try:
                    open_.sendall(sent)
                    while not stop.wait(0.01):
                        open_.sendall(b"x" if sent else b"")
                except OSError:
                    return

        dripping = threading.Thread(target=drip)
        dripping.start()
        trusted = ssl.create_default_context()
        authority.configure_trust(trusted)
        patient = Sender(private=True, trusted=trusted, resolve=to_loopback, total_seconds=0.5)
        code = patient.send(f"https://{HOST}:{listening.getsockname()[1]}/", {}, b"{}").code
        stop.set()
        dripping.join()
    assert code is (Code.BROKEN_ANSWER if sent.startswith(b"no") else Code.TIMED_OUT)


def test_who_does_not_shake_hands_is_left() -> None:
    with closing(socket.create_server((LOOPBACK, 0))) as silent:
        hasty = Sender(private=True, resolve=to_loopback, total_seconds=0.3)
        url = f"https://{HOST}:{silent.getsockname()[1]}/"
        assert hasty.send(url, {}, b"{}").code is Code.TIMED_OUT
