"""Answers that were computed before somebody asked to be forgotten, and leave afterwards."""

from __future__ import annotations

import json
import signal
import socket
import threading
import time
from contextlib import closing, suppress
from pathlib import Path

import httpx
import pytest
from fastapi.testclient import TestClient
from prometheus_client.parser import text_string_to_metric_families

import app.recommendations.endpoints
from app.api_keys.service import Scope
from app.audit.log import AuditLog
from app.audit.transaction import Transaction
from app.connections import Connections
from app.db.clock import database_now
from app.db.errors import DatabaseUnavailable
from app.db.session import Database
from app.forget_requests import service as forget_requests
from app.gateway import Gateway
from app.replicas.service import DatabaseControlPlane
from app.serving import Recommendation
from app.settings import Settings
from tests.integration.http.conftest import gateway_of, issue_key
from tests.integration.http.gateway_process import GatewayProcess, gateway_process
from tests.integration.tiny_model import USERS, subject_of
from tests.served import served

CALLERS = 6
FREEZES = 3


def test_an_answer_is_looked_at_again_when_it_is_sent(
    client: TestClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    computed: list[bool] = []
    real = app.recommendations.endpoints.answer_for

    def then_forgotten(
        gateway: Gateway, subject: str, k: int, candidates: list[int] | None
    ) -> Recommendation:
        answer = real(gateway, subject, k, candidates)
        computed.append(answer.personalised)
        gateway.engine.suppress(1, subject)
        return answer

    monkeypatch.setattr(app.recommendations.endpoints, "answer_for", then_forgotten)
    answer = client.get("/recommend", params={"user_id": "user-1"})
    assert computed == [True]
    assert answer.json()["fallback_reason"] == "suppressed"
    assert answer.headers["Lethe-Version"] == answer.json()["version"]


def test_the_replica_that_gave_the_202_needs_no_feed_to_know(
    client: TestClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    gateway = gateway_of(client)

    def away(*_: object) -> None:
        raise DatabaseUnavailable

    # The lease still runs: others go on being personalised.
    monkeypatch.setattr(DatabaseControlPlane, "read", away)
    assert client.post("/users/user-1/forget").status_code == 202
    assert gateway.engine.is_suppressed(subject_of("user-1"))
    answer = client.get("/recommend", params={"user_id": "user-1"}).json()
    assert answer["fallback_reason"] == "suppressed"


@pytest.mark.parametrize(
    ("held", "sent", "late"),
    # Looks in order: before it is sent, before and after the head, before and after the body.
    [(5, "all", 0), (1, "nothing", 0), (2, "head", 0), (3, "head", 0), (4, "all", 1)],
)
def test_an_answer_is_looked_at_when_its_bytes_are_written(
    client: TestClient, monkeypatch: pytest.MonkeyPatch, held: int, sent: str, late: int
) -> None:
    engine, looks = gateway_of(client).engine, 0
    real = engine.still_holds

    def holds_so_often(subject: str, answer: Recommendation, k: int) -> Recommendation:
        nonlocal looks
        looks += 1
        if looks == held + 1:
            engine.suppress(1, subject)
        return real(subject, answer, k)

    monkeypatch.setattr(engine, "still_holds", holds_so_often)
    key = client.headers["Authorization"]
    connections: Connections = client.app.state.connections  # type: ignore[attr-defined]  # any ASGI app to Starlette
    with (
        served(client.app, connections) as port,
        closing(socket.create_connection(("127.0.0.1", port), timeout=60)) as connection,
    ):
        connection.sendall(
            f"GET /recommend?user_id=user-1 HTTP/1.1\r\nHost: here\r\nConnection: close\r\n"
            f"Authorization: {key}\r\n\r\n".encode()
        )
        received = b""
        with suppress(ConnectionResetError):
            while data := connection.recv(4096):
                received += data
        head, _, body = received.partition(b"\r\n\r\n")
        assert (head.startswith(b"HTTP/1.1 200"), bool(body)) == (sent != "nothing", sent == "all")
        assert not body or json.loads(body)["personalised"]
        assert connections.late_answers.count == late


def test_a_gateway_that_was_frozen_personalises_nobody_who_was_forgotten_meanwhile(
    settings: Settings, database: Database, audit: AuditLog, installed: str, tmp_path: Path
) -> None:
    key = issue_key(database, "everything", *Scope)
    # Of each freeze a user of its own, and one who stays.
    forgotten, lock, done = set[str](), threading.Lock(), threading.Event()
    wrong: list[str] = []
    personalised = 0
    with gateway_process(settings, key, tmp_path, LETHE_FEED_LEASE_SECONDS="1") as gateway:

        def ask(user: str) -> None:
            nonlocal personalised
            with gateway.client() as client:
                while not done.is_set():
                    with lock:
                        late = user in forgotten
                    try:
                        answer = client.get("/recommend", params={"user_id": user}).json()
                    except httpx.TransportError:
                        # It was held back, and the connection closed.
                        continue
                    with lock:
                        personalised += answer["personalised"]
                        # What was on its way before the freeze has been read by then.
                        if answer["personalised"] and (late or user in forgotten):
                            wrong.append(user)

        for round_, user in enumerate(sorted(USERS)[:FREEZES]):
            done.clear()
            before = personalised
            callers = [threading.Thread(target=ask, args=(user,)) for _ in range(CALLERS)]
            for caller in callers:
                caller.start()
            deadline = time.monotonic() + 60
            while personalised < before + 20 * CALLERS:
                assert time.monotonic() < deadline, round_
                time.sleep(0.01)
            gateway.popen.send_signal(signal.SIGSTOP)
            try:
                time.sleep(0.5)
                with database.unit_of_work() as session:
                    forget_requests.accept(
                        Transaction(session, audit),
                        subject_hmac=subject_of(user),
                        requested_by="tests",
                        now=database_now(session),
                    )
                with lock:
                    forgotten.add(user)
                # Past the lease.
                time.sleep(1.2)
            finally:
                gateway.popen.send_signal(signal.SIGCONT)
            time.sleep(0.5)
            done.set()
            for caller in callers:
                caller.join()
        perhaps_late = _perhaps_late(gateway)
    # A process can be stopped between its last look and the system call. Such an answer is on record; a head is none.
    assert len(wrong) <= perhaps_late


def _perhaps_late(gateway: GatewayProcess) -> float:
    with gateway.client() as client:
        metrics = text_string_to_metric_families(client.get("/metrics").text)
    return sum(
        sample.value
        for family in metrics
        for sample in family.samples
        if sample.name == "lethe_answers_perhaps_late_total"
    )
