"""Real sockets at a real server, with an application that does nothing but answer."""

from __future__ import annotations

import asyncio
import gc
import http.client
import socket
import threading
import time
import weakref
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress

import pytest
from prometheus_client import CollectorRegistry
from starlette.types import Receive, Scope, Send

from app.connections import Connections
from app.last_look import LAST_LOOK, AnswerExpired, LastLook
from app.long_answers import HANG_UP
from tests.served import served

HEAD = b"GET / HTTP/1.1\r\nHost: here\r\n"
SOON = 5.0
# More than the kernel takes for a client who does not read.
LARGE = b"x" * 16 * 2**20
MAY_LEAVE = threading.Event()
LOOKS: list[bool] = []


def _looked_at() -> bool:
    LOOKS.append(MAY_LEAVE.is_set())
    return LOOKS[-1]


async def application(scope: Scope, receive: Receive, send: Send) -> None:
    """Who names a key is a caller; a body is refused unread, unless the path is /read."""
    if any(name == b"authorization" for name, _ in scope["headers"]):
        scope["state"]["caller"] = "somebody"
    status = 200
    if scope["path"].startswith("/may-leave/"):
        # The last look's answers, in order: before and after the head, before and after the body.
        looks = [letter == "y" for letter in scope["path"].removeprefix("/may-leave/")]
        scope["state"][LAST_LOOK] = LastLook(lambda: looks.pop(0) if looks else True)
    if scope["path"] == "/read":
        while (message := await receive()).get("more_body"):
            pass
        if message["type"] == "http.disconnect":
            return
    elif any(name in (b"content-length", b"transfer-encoding") for name, _ in scope["headers"]):
        status = 413
    if scope["path"] == "/hang-up":
        await send({"type": "http.response.start", "status": status, "headers": []})
        asyncio.get_running_loop().call_soon(scope["state"][HANG_UP])
        await send({"type": "http.response.body", "body": LARGE, "more_body": True})
        return
    if scope["path"] == "/large":
        scope["state"][LAST_LOOK] = LastLook(_looked_at)
        await send({"type": "http.response.start", "status": status, "headers": []})
        await send({"type": "http.response.body", "body": LARGE})
        return
    headers = [(b"content-length", b"2")]
    try:
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": b"ok"})
    except AnswerExpired:
        pass


@contextmanager
def serving(
    limit: int = 100, head_seconds: float = 60.0, body_seconds: float = 60.0
) -> Iterator[tuple[int, Connections]]:
    limits = Connections(
        limit, head_seconds=head_seconds, body_seconds=body_seconds, registry=CollectorRegistry()
    )
    with served(application, limits) as port:
        yield port, limits


def answer(connection: socket.socket) -> bytes:
    received = b""
    while not received.endswith(b"\r\n\r\nok"):
        received += connection.recv(1000)
    return received


def connect(port: int, data: bytes = b"") -> socket.socket:
    connection = socket.create_connection(("127.0.0.1", port), timeout=SOON)
    connection.sendall(data)
    return connection


def asking_for(port: int, looks: str) -> socket.socket:
    return connect(port, HEAD.replace(b"/", f"/may-leave/{looks}".encode(), 1) + b"\r\n")


def is_closed(connection: socket.socket) -> bool:
    try:
        return connection.recv(1) == b""
    except ConnectionResetError:
        return True


def is_open(connection: socket.socket) -> bool:
    connection.settimeout(0.2)
    try:
        return connection.recv(1) != b""
    except TimeoutError:
        return True
    except ConnectionResetError:
        return False
    finally:
        connection.settimeout(SOON)


def ask(port: int) -> int:
    with closing(http.client.HTTPConnection("127.0.0.1", port, timeout=SOON)) as client:
        client.request("GET", "/")
        return client.getresponse().status


@pytest.mark.parametrize("begun", [b"", HEAD])
def test_a_head_that_does_not_come_is_not_waited_for(begun: bytes) -> None:
    with serving(head_seconds=0.3) as (port, limits), closing(connect(port, begun)) as connection:
        assert is_closed(connection)
        assert len(limits) == 0


def test_a_head_that_drips_has_no_more_time_than_others() -> None:
    with serving(head_seconds=0.5) as (port, _), closing(connect(port, HEAD)) as connection:
        started = time.monotonic()
        with pytest.raises(ConnectionError):
            _send_until_refused(connection, b"X: y\r\n", pause=0.05)
        assert time.monotonic() - started < 3


def _send_until_refused(connection: socket.socket, data: bytes, pause: float = 0.0) -> None:
    for _ in range(1000):
        connection.sendall(data)
        time.sleep(pause)


def test_the_next_head_on_a_connection_has_its_time_too() -> None:
    with serving(head_seconds=0.5) as (port, _), closing(connect(port, HEAD + b"\r\n")) as connection:
        assert b"200" in answer(connection)
        connection.sendall(HEAD)
        assert is_closed(connection)


def test_a_body_that_does_not_come_is_not_waited_for() -> None:
    begun = b"POST /read HTTP/1.1\r\nHost: here\r\nContent-Length: 100\r\n\r\nsome"
    with serving(body_seconds=0.3) as (port, _), closing(connect(port, begun)) as connection:
        assert is_closed(connection)


def test_whoever_keeps_the_server_waiting_goes_first_and_newcomers_are_answered() -> None:
    with serving(limit=8) as (port, limits):
        callers = connect(port, HEAD + b"Authorization: key\r\n\r\n")
        assert b"200" in answer(callers)
        half_open = [connect(port, HEAD) for _ in range(30)]
        assert [ask(port) for _ in range(20)] == [200] * 20
        assert len(limits) <= 8
        assert all(is_closed(connection) for connection in half_open[:20])
        assert is_open(callers)
        for connection in (callers, *half_open):
            connection.close()


def test_who_only_waits_for_a_next_request_makes_room_for_callers() -> None:
    with serving(limit=8) as (port, _):
        callers = [connect(port, HEAD + b"Authorization: key\r\n\r\n") for _ in range(8)]
        assert all(b"200" in answer(connection) for connection in callers)
        assert ask(port) == 200
        assert is_closed(callers[0])
        assert is_open(callers[7])
        for connection in callers:
            connection.close()


@pytest.mark.parametrize("chunked", [False, True])
@pytest.mark.parametrize("megabytes", [0.01, 8])
def test_who_sends_everything_before_reading_sees_the_refusal(megabytes: float, chunked: bool) -> None:
    body = b"x" * int(megabytes * 1024 * 1024)
    with serving() as (port, _), closing(http.client.HTTPConnection("127.0.0.1", port)) as client:
        headers = {"Authorization": "key"}
        for _ in range(2):
            pieces = iter([body[:5], body[5:]]) if chunked else body
            client.request("POST", "/", pieces, headers, encode_chunked=chunked)
            response = client.getresponse()
            assert (response.status, response.read()) == (413, b"ok")


def test_a_stranger_who_goes_on_sending_is_cut_off() -> None:
    begun = b"POST / HTTP/1.1\r\nHost: here\r\nContent-Length: 1000000000\r\n\r\n"
    with serving() as (port, _), closing(connect(port, begun)) as connection:
        with pytest.raises(ConnectionError):
            _send_until_refused(connection, b"x" * 65536)
        # It was answered all the same.
        assert b"413" in answer(connection)


@pytest.mark.parametrize(
    ("looks", "left", "late"),
    [
        ("yyyy", b"ok", 0),
        ("n", b"", 0),
        ("yyn", b"\r\n\r\n", 0),
        ("yyyn", b"ok", 1),
    ],
)
def test_an_answer_is_looked_at_around_each_write(looks: str, left: bytes, late: int) -> None:
    with serving() as (port, limits), closing(asking_for(port, looks)) as connection:
        received = b""
        while not received.endswith(b"ok") and (data := connection.recv(1000)):
            received += data
        assert received.endswith(left), received
        assert (b"200 OK" in received) is (left != b"")
        closed = looks != "yyyy"
        assert not closed or is_closed(connection)
        assert limits.late_answers.count == late


def test_a_head_that_left_late_takes_no_body_with_it() -> None:
    with serving() as (port, limits), closing(asking_for(port, "yn")) as connection:
        assert b"ok" not in connection.recv(1000)
        assert is_closed(connection)
        assert limits.late_answers.count == 0


def test_what_comes_after_a_personal_answer_is_no_business_of_its_last_look() -> None:
    with serving() as (port, _), closing(asking_for(port, "yyyy")) as connection:
        answer(connection)
        connection.sendall(b"no HTTP\r\n\r\n")
        assert b"400" in connection.recv(1000)


@pytest.mark.parametrize("connection_header", [b"", b"Connection: close\r\n"], ids=["stays", "closes"])
def test_an_answer_that_nobody_reads_does_not_leave_once_it_may_not(connection_header: bytes) -> None:
    MAY_LEAVE.set()
    LOOKS.clear()
    with (
        serving() as (port, limits),
        closing(connect(port, HEAD.replace(b"/", b"/large", 1) + connection_header + b"\r\n")) as connection,
    ):
        deadline = time.monotonic() + SOON
        # Four while it is written, and some while it waits.
        while len(LOOKS) < 7:
            assert time.monotonic() < deadline
            time.sleep(0.01)
        MAY_LEAVE.clear()
        while not limits.late_answers.count:
            assert time.monotonic() < deadline
            time.sleep(0.01)
        received = 0
        with suppress(ConnectionResetError):
            while data := connection.recv(2**20):
                received += len(data)
        assert received < len(LARGE)
        assert limits.late_answers.count == 1


def test_a_connection_keeps_no_answer_once_it_is_closed() -> None:
    with serving() as (port, limits):
        gc.collect()
        gc.disable()
        try:
            with closing(asking_for(port, "yyyy")) as connection:
                answer(connection)
                (kept,) = map(weakref.ref, limits._open)
            deadline = time.monotonic() + SOON
            while kept() is not None:
                assert time.monotonic() < deadline
                time.sleep(0.01)
        finally:
            gc.enable()


def test_the_application_can_close_the_connection_of_a_client_that_does_not_read() -> None:
    with serving() as (port, limits), closing(connect(port)) as connection:
        connection.sendall(HEAD.replace(b"/", b"/hang-up", 1) + b"Authorization: key\r\n\r\n")
        # Whoever reads meanwhile may get the whole answer in one go, before the application hangs up.
        deadline = time.monotonic() + SOON
        while limits._closed.labels("slow")._value.get() != 1:
            assert time.monotonic() < deadline
            time.sleep(0.01)
        received = 0
        with suppress(ConnectionResetError):
            while data := connection.recv(2**16):
                received += len(data)
        assert received < len(LARGE)
