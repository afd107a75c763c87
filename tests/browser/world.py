"""A service with a past, for the browser: requests in every state, and a gateway behind a real server.

Some requests are served by a real run on the tiny model, so that there are real measures to draw. The others are rows
as the services write them, moved to where the test wants them.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path

from fastapi.testclient import TestClient
from sqlalchemy.orm import Session

from app.api_keys import service as api_keys
from app.api_keys.service import Scope
from app.audit.events import ForgetNeedsAttention, RunClaimed
from app.audit.log import AuditLog
from app.audit.transaction import Transaction
from app.codes import DetailCode
from app.db.base import utc_now
from app.db.models import ForgetRequest, RequestStatus, Run, RunStage, RunStatus
from app.db.schema import migrate
from app.db.session import Database, open_database
from app.forget_requests import service as forget_requests
from app.forget_requests.service import Asked
from app.logging import configure_logging
from app.main import create_app
from app.runs import queries as runs
from app.settings import Settings
from app.subjects import SubjectKey
from tests.integration.tiny_model import build_base_folder, install_version, tiny_settings
from tests.integration.worker.observing import execute_waiting
from tests.served import served
from unlearning import Rung, default_policy
from unlearning.policy.policy import Search
from worker.notebook import copy_into_run
from worker.process import open_process

LADDER = (
    Rung("ucan", {"threshold": 0.5}, Search("gamma", 0.5, 20.0)),
    Rung("least_change_output"),
    Rung("refit"),
)


@dataclass(frozen=True)
class World:
    """An installation without a worker: whoever wants a run to be worked on calls `work`."""

    settings: Settings
    database: Database

    def key(self, name: str, *scopes: Scope) -> str:
        """A key of this name, which must be new, with these scopes or all."""
        with self.database.unit_of_work() as session:
            return api_keys.issue(session, name=name, scopes=scopes or tuple(Scope), now=utc_now())

    def revoke(self, name: str) -> None:
        with self.database.unit_of_work() as session:
            api_keys.revoke(session, name=name, now=utc_now())

    def accept(self, user: str, *, days_ago: float = 0.0, reference: str | None = None) -> str:
        """A request that was received so many days ago; its id."""
        with self.database.unit_of_work() as session:
            accepted = forget_requests.accept(
                self._transaction(session),
                subject_hmac=SubjectKey(self.settings.subject_key.get_secret_value().encode()).subject(user),
                requested_by="customer-service",
                now=utc_now() - timedelta(days=days_ago),
                asked=Asked(reason="withdrawn_consent", client_reference=reference),
            )
        return accepted.request.id

    def give_up(self, *request_ids: str, code: str = DetailCode.LADDER_EXHAUSTED) -> None:
        """Requests that need a person: what a run does that has no rung left for them."""
        run_id = "ur_" + request_ids[0].removeprefix("fr_")
        with self.database.unit_of_work() as session:
            transaction = self._transaction(session)
            for request_id in request_ids:
                row = session.get_one(ForgetRequest, request_id)
                row.status, row.detail_code = RequestStatus.NEEDS_ATTENTION, code
            transaction.record(RunClaimed(run_id, "forget", 1, 1, 1, None, None, request_ids))
            transaction.record(ForgetNeedsAttention(run=run_id, requests=request_ids, code=code))

    def begin_run(self, *request_ids: str, heard_seconds_ago: float = 0.0, progress: str = "") -> str:
        """The queued run as a worker has claimed it, with these requests."""
        with self.database.unit_of_work() as session:
            run_id = runs.queued_run(session)
            assert run_id is not None
            run = session.get_one(Run, run_id)
            run.status, run.stage, run.claims, run.fence = RunStatus.RUNNING, RunStage.LADDER, 1, 1000
            run.started_at, run.progress = utc_now() - timedelta(minutes=4), progress or None
            run.lease_until = utc_now() + timedelta(seconds=60 - heard_seconds_ago)
            for request_id in request_ids:
                row = session.get_one(ForgetRequest, request_id)
                row.status, row.run_id = RequestStatus.UNLEARNING, run_id
            self._transaction(session).record(
                RunClaimed(run_id, "forget", 1000, 1, 9, None, None, request_ids)
            )
        return run_id

    def run_of(self, request_id: str) -> str:
        with self.database.read() as session:
            run_id = session.get_one(ForgetRequest, request_id).run_id
        assert run_id is not None
        return run_id

    def _transaction(self, session: Session) -> Transaction:
        return Transaction(session, AuditLog.of(self.settings))

    def work(self, ladder: Sequence[Rung] = LADDER) -> None:
        """Work on the queued run until it is done, as a worker would."""
        configure_logging(copying=copy_into_run)
        process = open_process(self.settings)
        process = replace(process, policy=replace(process.policy, ladder=tuple(ladder)))
        execute_waiting(process)

    @contextmanager
    def gateway(self, port: int = 0) -> Iterator[str]:
        """Its address. Its lifespan and its server end with the block."""
        application = create_app(self.settings)
        with TestClient(application) as opened:
            assert opened.app.state.gateway.engine.wait_for_version(30)  # type: ignore[attr-defined]
            with served(application, application.state.connections, port=port) as listening:
                yield f"http://127.0.0.1:{listening}"


def build_world(root: Path) -> World:
    """An installation on SQLite in this folder, with the tiny model live and nobody forgotten."""
    base = build_base_folder(root / "base")
    settings = tiny_settings(f"sqlite:///{root}/lethe.sqlite3", base, root)
    database = Database(open_database(settings.database_url))
    migrate(database.engine)
    install_version(settings, database)
    return World(settings, database)


def give_a_past(world: World) -> dict[str, str]:
    """Requests in every state; their ids by what became of them."""
    made = {"erased": world.accept("user-1", days_ago=2.0, reference="ticket-1041")}
    world.accept("user-2", days_ago=1.5)
    world.work()
    made["done"] = world.run_of(made["erased"])
    made["no_data"] = world.accept("a-stranger", days_ago=0.5, reference="ticket-1042")
    world.work((default_policy().ladder[-1],))
    made["overdue"] = world.accept("user-3", days_ago=40.0, reference="ticket-0877")
    made["late_too"] = world.accept("late-stranger", days_ago=33.0)
    made["at_risk"] = world.accept("user-4", days_ago=27.0, reference="ticket-0912")
    world.give_up(made["overdue"], made["at_risk"])
    world.give_up(made["late_too"], code=DetailCode.CLAIMS_EXHAUSTED)
    made["running"] = world.accept("user-5", days_ago=0.2, reference="ticket-1050")
    also = world.accept("user-6", days_ago=0.1)
    made["run"] = world.begin_run(made["running"], also, progress="refit: re-fit 212/600")
    for number in range(7, 12):
        made["queued"] = world.accept(f"user-{number}", days_ago=0.02 * (12 - number))
    return made
