"""A broker and a store that hang: who is forgotten does not notice, and who asks for recommendations neither."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest
import redis
from fastapi.testclient import TestClient
from sqlalchemy import select

from app.api_keys.service import Scope
from app.audit.log import AuditLog
from app.audit.transaction import Transaction
from app.broker import QUEUE
from app.db.base import utc_now
from app.db.models import Run
from app.db.session import Database
from app.forget_requests import service as forget_requests
from app.runs.queue import RunQueue
from app.settings import Settings
from benchmarks.service.hanging_server import hanging_server
from model_store import JournalEntry, LocalStore
from tests.integration.http.conftest import gateway_of, issue_key
from tests.integration.http.gateway_process import gateway_process

# Each broker beside one of the databases: neither knows of the other.
EACH_BROKER = pytest.mark.parametrize(
    ("database_url", "scheme"), [("sqlite", "redis"), ("postgresql", "amqp")], indirect=["database_url"]
)
FORGETS = 60
LONG = 60.0
# The beginning of a simple string; a method frame that announces a megabyte.
BEGUN = {"redis": b"+", "amqp": b"\x01\x00\x00\x00\x0f\xff\xff"}


def broker_url(scheme: str, port: int) -> str:
    return {"redis": f"redis://127.0.0.1:{port}/0", "amqp": f"amqp://guest:guest@127.0.0.1:{port}//"}[scheme]


def wait_until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + LONG
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


@contextmanager
def recommending(client: httpx.Client, answers: list[httpx.Response]) -> Iterator[None]:
    """Ask one after the other, without a pause, until the block is left."""
    stop = threading.Event()

    def ask() -> None:
        while not stop.is_set():
            answers.append(client.get("/recommend", params={"user_id": "user-1"}))

    thread = threading.Thread(target=ask)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()


@EACH_BROKER
def test_a_broker_that_hangs_holds_up_nobody(
    settings: Settings, database: Database, installed: str, tmp_path: Path, scheme: str
) -> None:
    key = issue_key(database, "everything", *Scope)
    with hanging_server(BEGUN[scheme]) as broker:
        url = broker_url(scheme, broker.port)
        with gateway_process(settings, key, tmp_path, LETHE_BROKER_URL=url) as gateway:

            def rings_given_up() -> int:
                return gateway.log.read_text().count('"event": "broker.unavailable"')

            answers: list[httpx.Response] = []
            with (
                gateway.client() as client,
                gateway.client(limits=httpx.Limits(max_connections=FORGETS)) as many,
                ThreadPoolExecutor(FORGETS) as pool,
                recommending(client, answers),
            ):
                forgets = [pool.submit(many.post, f"/users/nobody-{n}/forget") for n in range(FORGETS)]
                assert [forget.result().status_code for forget in forgets] == [202] * FORGETS
                assert broker.wait_for_connection(LONG)
                # The dispatch hangs: what is asked from here on is answered before it ends, because it does not end.
                before = len(answers)
                wait_until(lambda: len(answers) >= before + 50)
                assert client.get("/readyz").status_code == 200
                assert rings_given_up() == 0
            assert {answer.status_code for answer in answers} == {200}
            # All of them are in one run, and one dispatch is for all of them.
            assert broker.connections == 1
        # It was asked to end politely, and not killed, though the dispatch hangs to this moment.
        assert gateway.popen.returncode == 0


@EACH_BROKER
def test_a_silent_broker_is_given_up_and_the_run_left_to_the_sweeper(
    settings: Settings, database: Database, audit: AuditLog, scheme: str
) -> None:
    with database.unit_of_work() as session:
        accepted = forget_requests.accept(
            Transaction(session, audit), subject_hmac="a" * 64, requested_by="tests", now=utc_now()
        )
    assert accepted.run_id is not None
    with hanging_server() as broker:
        below = settings.model_copy(update={"broker_url": broker_url(scheme, broker.port)})
        queue = RunQueue(below, database)
        queue.start()
        for _ in range(FORGETS):
            queue.dispatch(accepted.run_id)
        assert broker.wait_for_connection(LONG)
        # Given up, because otherwise it would not be rung for again.
        wait_until(lambda: queue.dispatch("ur_another") or broker.connections == 2)
        with database.read() as session:
            assert session.scalars(select(Run.dispatched_at)).all() == [None]
        queue.stop()


def test_a_ring_arrives_and_is_noted(
    settings: Settings, database: Database, audit: AuditLog, empty_redis: str
) -> None:
    now = utc_now()
    with database.unit_of_work() as session:
        accepted = forget_requests.accept(
            Transaction(session, audit), subject_hmac="a" * 64, requested_by="tests", now=now
        )
    assert accepted.run_id is not None
    with redis.Redis.from_url(empty_redis) as broker:
        broker.delete(QUEUE)
    queue = RunQueue(settings.model_copy(update={"broker_url": empty_redis}), database)
    queue.start()
    queue.dispatch(accepted.run_id)
    queue.stop()
    with redis.Redis.from_url(empty_redis) as broker:
        assert broker.llen(QUEUE) == 1
        assert accepted.run_id.encode() in broker.lindex(QUEUE, 0)
    with database.read() as session:
        assert session.scalars(select(Run.dispatched_at)).one() is not None


def test_a_run_is_rung_for_once_however_many_requests_it_gathers(
    settings: Settings, database: Database, audit: AuditLog
) -> None:
    """A worker looks at one message after the other: the next run's would come after all of them."""
    queue = RunQueue(settings, database)
    queue.start()
    messages = Path(settings.broker_url.removeprefix("filesystem://")) / "messages"
    for number in range(FORGETS):
        with database.unit_of_work() as session:
            accepted = forget_requests.accept(
                Transaction(session, audit),
                subject_hmac=f"{number:064x}",
                requested_by="tests",
                now=utc_now(),
            )
        assert accepted.run_id is not None
        queue.dispatch(accepted.run_id)
        if number == 0:
            wait_until(lambda: len(list(messages.iterdir())) == 1)
    queue.dispatch("ur_another")
    queue.stop()
    assert len(list(messages.iterdir())) == 2


class HangingStore(LocalStore):
    """A store whose disk does not come back until it is let go."""

    def __init__(self, root: Path) -> None:
        super().__init__(root)
        self.let_go = threading.Event()

    def append_journal(self, entry: JournalEntry) -> None:
        assert self.let_go.wait(LONG)
        super().append_journal(entry)


def test_a_store_that_hangs_holds_up_nobody_and_gets_its_journal_later(
    client: TestClient, settings: Settings
) -> None:
    store = HangingStore(Path(settings.store_url))
    gateway_of(client).store = store
    try:
        for number in range(FORGETS):
            assert client.post(f"/users/nobody-{number}/forget").status_code == 202
        assert client.get("/recommend", params={"user_id": "user-1"}).json()["personalised"]
        assert list(store.journal()) == []
    finally:
        store.let_go.set()
    wait_until(lambda: len(list(store.journal())) == FORGETS)
    assert [entry.epoch for entry in store.journal()] == list(range(1, FORGETS + 1))
