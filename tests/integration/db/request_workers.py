"""The rules of the state machine of `test_request_life` for workers, some of which have lost their run."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import precondition, rule
from sqlalchemy import Engine

from app.audit.log import AuditLog
from app.db.errors import FenceLost
from app.db.models import RunKind, RunStage, Version
from app.runs import completion
from app.runs import queries as run_queries
from app.runs import service as runs
from app.runs.service import Claim
from app.runs.splitting import SplitOut
from app.versions import service as versions
from tests.integration.db.conftest import LEASE
from tests.integration.db.request_decisions import People, numbers
from tests.integration.db.request_record import KnownRun

BASE = "b" * 64
MOST_CLAIMS = 3
FATES = ("served", "served", "returned", "exhausted")
KINDS = (RunKind.FORGET, RunKind.SELECTION)


class Workers(People):
    """Adds workers, which claim runs and publish, finish, leave or lose them."""

    def __init__(self, engine: Engine, audit: AuditLog, empty: Callable[[], None]) -> None:
        super().__init__(engine, audit, empty)
        self.claims: list[Claim] = []
        self.versions = 0

    @rule(kind=st.sampled_from((None, *KINDS)), most=st.integers(1, 3))
    def claim(self, kind: RunKind | None, most: int) -> None:
        with self.database.read() as session:
            next_ = run_queries.next_queued_run(session, self.now)
            run_id = next_ if kind is None else run_queries.queued_run(session, kind)
        claim = self._claim(run_id or "none", most)
        busy = self.record.working() is not None
        if claim is None:
            assert busy or run_id != next_ or run_id is None
            return
        assert not busy
        self.record.runs[claim.run_id] = KnownRun(claim.kind, claim.fence, self.now + LEASE, claims=1)
        for request in claim.requests:
            known = self.record.requests[request.id]
            assert (known.criteria is None) == (claim.kind == RunKind.FORGET)
            known.move("unlearning")
            known.run = claim.run_id
        assert len(claim.requests) <= most
        self.claims.append(claim)

    @precondition(lambda self: self.record.working())
    @rule()
    def take_over(self) -> None:
        run_id = self.record.working()
        assert run_id is not None
        run, before = self.record.runs[run_id], {one.id for one in self.record.of_run(run_id)}
        claim = self._claim(run_id, 3)
        if run.lease_until >= self.now:
            assert claim is None
        elif run.claims >= MOST_CLAIMS and not run.published:
            assert claim is None
            self.record.give_up(run_id)
        else:
            assert claim is not None
            assert claim.fence > run.fence
            taken = {request.id for request in claim.requests}
            assert before <= taken
            for request_id in taken - before:
                assert not run.published
                self.record.requests[request_id].move("unlearning")
                self.record.requests[request_id].run = run_id
            run.fence, run.claims, run.lease_until = claim.fence, run.claims + 1, self.now + LEASE
            self.claims.append(claim)

    @rule()
    def a_run_goes_well(self) -> None:
        known = len(self.claims)
        self.claim(None, 3)
        if len(self.claims) > known:
            self.publish(0, True, ["served"] * 3)
            self.finish(0, False)

    def _claim(self, run_id: str, most: int) -> Claim | None:
        with self.begin() as transaction:
            return runs.claim(
                transaction,
                run_id,
                now=self.now,
                lease=LEASE,
                max_claims=MOST_CLAIMS,
                max_subjects=most,
                policy={"name": "tests"},
                policy_hash="f" * 64,
            )

    def has_claims(self) -> bool:
        return bool(self.claims)

    def _worker(self, number: int) -> tuple[int, Claim, KnownRun | None]:
        """A worker's claim, and its run if the worker still holds it."""
        place = len(self.claims) - 1 - number % len(self.claims)
        claim = self.claims[place]
        run = self.record.runs[claim.run_id]
        return place, claim, run if run.working and run.fence == claim.fence else None

    @precondition(has_claims)
    @rule(number=numbers, exact=st.booleans(), fates=st.lists(st.sampled_from(FATES), min_size=3, max_size=3))
    def publish(self, number: int, exact: bool, fates: list[str]) -> None:
        place, claim, run = self._worker(number)
        if run is not None and (run.published or claim.stage != RunStage.LADDER):
            return
        exact = exact or claim.kind == RunKind.SELECTION
        by_fate = {request.id: fate for request, fate in zip(claim.requests, fates, strict=False)}
        split = SplitOut(
            {request_id: 1 for request_id, fate in by_fate.items() if fate == "returned"},
            tuple(request_id for request_id, fate in by_fate.items() if fate == "exhausted"),
        )
        self.versions += 1
        version = Version(
            digest=f"{self.versions:064x}",
            parent_digest=claim.parent_digest,
            forget_epoch=claim.covers_epoch,
            method="refit",
            exact=exact,
            run_id=claim.run_id,
            published_at=self.now,
        )

        def publish() -> None:
            with self.begin() as transaction:
                versions.publish(
                    transaction, claim, version, watermark=0, base_digest=BASE, now=self.now, split=split
                )

        if run is None:
            with pytest.raises(FenceLost):
                publish()
            return
        publish()
        run.published = True
        for request_id, fate in by_fate.items():
            known = self.record.requests[request_id]
            if fate == "served":
                known.move("deploying")
            else:
                known.run = None
                known.move("queued" if fate == "returned" else "needs_attention")
        for known in self.record.requests.values():
            if exact and known.status == "needs_attention" and known.epoch <= claim.covers_epoch:
                known.run = None
                known.move("queued")
        served = tuple(request for request in claim.requests if by_fate[request.id] == "served")
        self.claims[place] = replace(claim, stage=RunStage.PUBLISHED, requests=served)

    @precondition(has_claims)
    @rule(number=numbers, killed=st.booleans())
    def finish(self, number: int, killed: bool) -> None:
        _, claim, run = self._worker(number)
        if run is not None and run.published and claim.stage == RunStage.LADDER:
            return
        unread = frozenset(claim.subjects) if claim.stage == RunStage.LADDER else frozenset()

        def erase() -> None:
            with self.begin() as transaction:
                completion.erase_subjects(transaction, claim, unread=unread, base_digest=BASE)

        def complete() -> None:
            with self.begin() as transaction:
                completion.complete(transaction, claim, (), now=self.now)

        if run is None:
            for step in (erase, complete):
                with pytest.raises(FenceLost):
                    step()
            return
        erase()
        run.published = True
        self.record.erase(claim.run_id)
        if killed:
            return
        complete()
        run.working = False
        for known in self.record.of_run(claim.run_id):
            known.move("completed")
            if known.criteria is None:
                self.record.supersede(known.subject)

    @precondition(has_claims)
    @rule(number=numbers, give_up=st.booleans())
    def leave(self, number: int, give_up: bool) -> None:
        _, claim, run = self._worker(number)

        def leave() -> None:
            with self.begin() as transaction:
                if give_up:
                    owned = runs.owned(transaction.session, claim.run_id, claim.fence)
                    runs.give_up(transaction, owned, code="invalid_input", detail="tests")
                else:
                    runs.hand_back(transaction, claim, self.now)

        if run is None:
            with pytest.raises(FenceLost):
                leave()
            return
        leave()
        if give_up:
            self.record.give_up(claim.run_id)
        else:
            run.claims, run.lease_until = run.claims - 1, self.now
