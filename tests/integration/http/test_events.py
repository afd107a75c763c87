"""The stream of public events: nothing is missed and nothing comes twice, however often it is cut (R-45)."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from datetime import timedelta

import pytest
from fastapi.testclient import TestClient
from sqlalchemy import event as sqlalchemy_event

import app.api_keys.authentication
import app.events.stream
from app.api_keys import service as api_keys
from app.api_keys.service import Scope
from app.audit.events import ForgetRetried
from app.audit.log import AuditLog
from app.audit.transaction import Transaction
from app.connections import Connections
from app.db.base import utc_now
from app.db.clock import database_now
from app.db.session import Database
from app.events import queries as events
from app.events.service import drop_old
from app.forget_requests import service as forget_requests
from app.forget_requests.service import Asked
from tests.integration.http.conftest import gateway_of, issue_key
from tests.integration.http.streams import following
from tests.served import served

CUTS = 100


@pytest.fixture
def key(database: Database) -> str:
    return issue_key(database, "listener", Scope.EVENTS_READ)


@pytest.fixture
def port(client: TestClient) -> Iterator[int]:
    connections: Connections = client.app.state.connections  # type: ignore[attr-defined]  # any ASGI app to Starlette
    with served(client.app, connections) as opened:
        yield opened


class Writer:
    """Writes one event at a time, as the service does."""

    def __init__(self, database: Database, audit: AuditLog) -> None:
        self._database, self._audit = database, audit
        with Transaction.begin(database, audit) as transaction:
            accepted = forget_requests.accept(
                transaction,
                subject_hmac="e" * 64,
                requested_by="tests",
                now=utc_now(),
                asked=Asked(client_reference="T-7"),
            )
        self.request = accepted.request.id

    @property
    def last(self) -> int:
        """The number of the last event."""
        with self._database.read() as session:
            return events.newest(session)

    def write(self, count: int = 1) -> None:
        for _ in range(count):
            with Transaction.begin(self._database, self._audit) as transaction:
                transaction.record(ForgetRetried(self.request))


@pytest.fixture
def writer(database: Database, audit: AuditLog) -> Writer:
    return Writer(database, audit)


def until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_a_stream_that_is_cut_a_hundred_times_misses_nothing_and_repeats_nothing(
    port: int, key: str, writer: Writer
) -> None:
    # Some events are there before, some come while a stream is open, and some while none is.
    writer.write(CUTS)
    finish = threading.Event()

    def write() -> None:
        while not finish.is_set():
            writer.write()

    writing = threading.Thread(target=write)
    writing.start()
    try:
        got: list[int] = []
        last: str | None = "0"
        for cut in range(CUTS):
            with following(port, key, last_id=last) as stream:
                for message in stream.events(1 + cut % 3):
                    assert message.id == str(message.body["sequence"])
                    got.append(message.body["sequence"])
                    last = message.id
    finally:
        finish.set()
        writing.join()
    assert got == list(range(1, len(got) + 1))


def test_an_event_reaches_every_stream_that_is_open_and_says_nothing_of_the_user(
    port: int, key: str, writer: Writer
) -> None:
    last = writer.last
    with following(port, key) as one, following(port, key) as other:
        first = next(one.messages)
        assert (first.id, first.retry, first.data) == (str(last), "3000", "")
        assert one.response.headers["content-type"].startswith("text/event-stream")
        assert one.response.headers["cache-control"] == "no-store"
        assert one.response.headers["x-accel-buffering"] == "no"
        writer.write()
        [message] = one.events(1)
        assert other.events(1) == [message]
    assert message.id == str(last + 1)
    assert message.type == "message"
    assert message.body | {"timestamp": None} == {
        "type": "forget.queued",
        "sequence": last + 1,
        "timestamp": None,
        "data": {
            "request_id": writer.request,
            "client_reference": "T-7",
            "status": "queued",
            "version": None,
            "takedown_id": None,
            "item_id": None,
        },
    }


def test_one_query_serves_all_streams(client: TestClient, port: int, key: str, writer: Writer) -> None:
    statements: list[str] = []

    def count(_connection: object, _cursor: object, statement: str, *_: object) -> None:
        if threading.current_thread().name == "events" and "FROM public_events" in statement:
            statements.append(statement)

    engine = gateway_of(client).database.engine
    streams = [following(port, key) for _ in range(5)]
    opened = [stream.__enter__() for stream in streams]
    try:
        looks: list[int] = []
        feed = gateway_of(client).events
        real = feed._look
        feed._look = lambda position: looks.append(position) or real(position)  # type: ignore[method-assign]
        sqlalchemy_event.listen(engine, "before_cursor_execute", count)
        first = writer.last + 1
        writer.write(3)
        for stream in opened:
            got = [message.body["sequence"] for message in stream.events(3)]
            assert got == [first, first + 1, first + 2]
        feed._look = real  # type: ignore[method-assign]
        until(lambda: len(statements) >= len(looks))
        # A look that had begun before is counted as a statement only.
        assert len(statements) <= len(looks) + 1
    finally:
        sqlalchemy_event.remove(engine, "before_cursor_execute", count)
        for stream_context in streams:
            stream_context.__exit__(None, None, None)
    # Who leaves is not fed any longer, and without anybody nothing is read.
    until(lambda: feed._position is None)


def test_what_is_no_longer_kept_is_said_and_the_stream_goes_on(
    port: int, key: str, writer: Writer, database: Database
) -> None:
    with database.unit_of_work() as session:
        drop_old(session, before=database_now(session) + timedelta(seconds=1))
    last = writer.last
    with following(port, key, after=1) as stream:
        [resync] = stream.events(1)
        assert (resync.type, resync.id, resync.body) == ("resync", str(last), {"after": last})
        writer.write()
        assert [message.id for message in stream.events(1)] == [str(last + 1)]
    # Whoever has seen the last one has missed nothing; whoever has seen more has seen another database.
    with following(port, key, after=last + 1) as stream:
        assert next(stream.messages).type == "message"
    with following(port, key, after=last + 2) as stream:
        assert next(stream.messages).type == "resync"
    # What the client says that connects again goes before what is in its address.
    with following(port, key, after=last + 2, last_id=str(last)) as stream:
        assert [message.id for message in stream.events(1)] == [str(last + 1)]


def test_a_quiet_stream_shows_that_it_lives_and_ends_with_its_key(
    port: int, key: str, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(app.events.stream, "HEARTBEAT_SECONDS", 0.05)
    monkeypatch.setattr(app.api_keys.authentication, "REVALIDATE_SECONDS", 0.0)
    with following(port, key) as stream:
        assert stream.comment() == "heartbeat"
        with database.unit_of_work() as session:
            assert api_keys.revoke(session, name="listener", now=utc_now())
        assert [message for message in stream.messages if message.data] == []


def test_a_server_that_stops_ends_its_streams_at_once(client: TestClient, key: str) -> None:
    connections: Connections = client.app.state.connections  # type: ignore[attr-defined]
    with ExitStack() as stack:
        server = ExitStack()
        stream = stack.enter_context(following(server.enter_context(served(client.app, connections)), key))
        next(stream.messages)
        server.close()
        # An answer that the server had to cut off would raise an error here.
        assert list(stream.messages) == []


def test_streams_leave_room_for_requests(client: TestClient, port: int, key: str) -> None:
    connections: Connections = client.app.state.connections  # type: ignore[attr-defined]
    connections.limit = 8
    streams = [following(port, key) for _ in range(4)]
    for stream in streams:
        stream.__enter__()
    refused = client.get("/events")
    assert (refused.status_code, refused.json()["code"]) == (503, "too-many-streams")
    assert refused.headers["Retry-After"] == "10"
    for stream in streams:
        stream.__exit__(None, None, None)
    until(lambda: gateway_of(client).events._position is None)


def test_who_may_not_read_events_or_asks_for_the_head_gets_no_stream(
    client: TestClient, database: Database
) -> None:
    other = issue_key(database, "other", Scope.FORGET_READ)
    refused = client.get("/events", headers={"Authorization": f"Bearer {other}"})
    assert (refused.status_code, refused.json()["scope"]) == (403, "events:read")
    head = client.head("/events")
    assert (head.status_code, head.headers["content-type"]) == (200, "text/event-stream; charset=utf-8")
    for wrong in ("-1", "x", str(2**60)):
        assert client.get("/events", headers={"Last-Event-ID": wrong}).status_code == 422
        assert client.get("/events", params={"after": wrong}).status_code == 422
