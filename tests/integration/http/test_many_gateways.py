"""R-13: sixty-four identical requests at three gateways are one request and one run."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path

import httpx
import pytest
from sqlalchemy import func, select

from app.api_keys.service import Scope
from app.db.models import AuditEntry, ForgetRequest, KeptAnswer, OutboxEntry, Run, Suppression
from app.db.session import Database
from app.settings import Settings
from tests.integration.http.conftest import issue_key
from tests.integration.http.gateway_process import GatewayProcess, gateway_process

pytestmark = pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)
AT_ONCE = 64


@pytest.fixture
def gateways(
    settings: Settings, database: Database, installed: str, tmp_path: Path
) -> Iterator[list[GatewayProcess]]:
    key = issue_key(database, "crm", *Scope)
    with ExitStack() as stack:
        folders = [tmp_path / f"gateway-{number}" for number in range(3)]
        for folder in folders:
            folder.mkdir()
        yield [stack.enter_context(gateway_process(settings, key, folder)) for folder in folders]


def test_r13_identical_requests_are_one(gateways: list[GatewayProcess], database: Database) -> None:
    with ExitStack() as stack, ThreadPoolExecutor(AT_ONCE) as threads:
        clients = [stack.enter_context(gateway.client()) for gateway in gateways]

        def send(number: int) -> httpx.Response:
            # Half of them bring a key, all the same one.
            headers = {"Idempotency-Key": "the-same"} if number % 2 else {}
            return clients[number % 3].post("/users/user-1/forget", headers=headers)

        answers = list(threads.map(send, range(AT_ONCE)))
        with_key = [answer for number, answer in enumerate(answers) if number % 2]
        in_flight = [answer for answer in with_key if answer.status_code == 409]
        assert {answer.json()["code"] for answer in in_flight} <= {"idempotency-in-flight"}
        assert all(answer.headers["Retry-After"] for answer in in_flight)
        done = [answer for answer in answers if answer not in in_flight]
        assert {answer.status_code for answer in done} == {202}
        assert len({answer.json()["id"] for answer in done}) == 1
        kept = {answer.content for answer in with_key if answer not in in_flight}
        later = [
            client.post("/users/user-1/forget", headers={"Idempotency-Key": "the-same"}) for client in clients
        ]
        assert {answer.content for answer in later} == kept
        assert len(kept) == 1
    with database.read() as session:
        for table in (ForgetRequest, Suppression, KeptAnswer, Run):
            assert session.scalar(select(func.count()).select_from(table)) == 1, table
        # It is deleted once a worker was told.
        assert (session.scalar(select(func.count()).select_from(OutboxEntry)) or 0) <= 1
        accepted = select(func.count()).where(AuditEntry.action == "forget.accepted")
        assert session.scalar(accepted) == 1
