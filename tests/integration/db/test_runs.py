from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import timedelta

import pytest

from app.attempts import queries as attempts
from app.attempts import service as attempt_records
from app.audit.transaction import Transaction
from app.db.errors import BelowErasureFloor, FenceLost, PointerMoved
from app.db.models import Ledger, Run, RunStage, Version
from app.forget_requests import queries as forget_requests
from app.runs import queries as run_queries
from app.runs import service as runs
from app.versions import queries as version_queries
from app.versions import service as pointer
from tests.integration.db.conftest import LEASE, NOON, Service, attempt

LATER = NOON + LEASE + timedelta(seconds=1)


def test_only_one_of_many_simultaneous_claims_gets_the_run(service: Service) -> None:
    run_id = service.accepted_run()
    with ThreadPoolExecutor(8) as pool:
        claims = list(pool.map(lambda _: service.claim(run_id), range(16)))
    assert sum(claim is not None for claim in claims) == 1


def test_a_claim_takes_every_queued_request_the_earliest_deadline_first(service: Service) -> None:
    service.accept("b", now=NOON + timedelta(days=3))
    service.accept("a", now=NOON)
    run_id = service.accepted_run("c")
    claim = service.claimed(run_id, max_subjects=2)
    assert [subject[0] for subject in claim.subjects] == ["a", "c"]
    assert service.queued_run() not in (None, run_id)


def test_no_second_run_starts_while_one_works(service: Service) -> None:
    first = service.accepted_run()
    assert service.claim(first)
    second = service.accepted_run("b")
    assert second != first
    assert service.claim(second) is None


def test_a_dead_workers_run_is_claimed_again_under_a_higher_fence_and_epoch(service: Service) -> None:
    run_id = service.accepted_run()
    first = service.claimed(run_id)
    assert service.claim(run_id, NOON + LEASE / 2) is None
    second = service.claimed(run_id, LATER)
    assert second.fence > first.fence
    assert second.covers_epoch > first.covers_epoch
    assert second.subjects == first.subjects


def test_kills_are_counted_and_the_last_one_asks_for_a_person(service: Service) -> None:
    run_id = service.accepted_run()
    for claim_number in range(3):
        assert service.claim(run_id, NOON + claim_number * 2 * LEASE) is not None
    assert service.claim(run_id, NOON + 6 * LEASE) is None
    again = service.accept("a").request
    assert (again.status, again.detail_code) == ("needs_attention", "claims_exhausted")


def test_a_run_handed_back_may_be_claimed_at_once_and_the_claim_does_not_count(service: Service) -> None:
    run_id = service.accepted_run()
    for second in range(5):
        now = NOON + timedelta(seconds=second)
        claim = service.claimed(run_id, now, max_claims=1)
        assert service.claim(run_id, now) is None
        with service.database.unit_of_work() as session:
            runs.hand_back(Transaction(session, service.audit), claim, now)
            with pytest.raises(FenceLost):
                runs.hand_back(
                    Transaction(session, service.audit), replace(claim, fence=claim.fence - 1), now
                )
    with service.database.read() as session:
        assert run_queries.find(session, run_id).claims == 0  # type: ignore[union-attr]
        assert service.audit.first_broken(session) is None
    # Rung for as soon as somebody looks.
    with service.database.unit_of_work() as session:
        due = runs.due_for_dispatch(session, now=NOON + LEASE, redispatch_after=timedelta(hours=1))
        assert list(due) == [run_id]


def test_a_run_claimed_again_takes_nobody_new_with_it(service: Service) -> None:
    run_id = service.accepted_run()
    assert service.claim(run_id)
    later = service.accept("b").run_id
    assert later not in (None, run_id)
    claim = service.claimed(run_id, LATER)
    assert [subject[0] for subject in claim.subjects] == ["a"]


def test_a_run_that_has_tried_something_takes_nobody_new_with_it_when_it_was_handed_back(
    service: Service,
) -> None:
    """What it tries over again would be theirs as well, and its attempts do not name them."""
    run_id = service.accepted_run()
    claim = service.claimed(run_id)
    with service.database.unit_of_work() as session:
        attempt_records.record(Transaction(session, service.audit), claim, attempt(run_id, claim.fence))
    later = service.accept("b").run_id
    service.hand_back(claim)
    again = service.claimed(run_id, NOON + timedelta(seconds=1))
    assert [subject[0] for subject in again.subjects] == ["a"]
    # Their run is there and is next.
    assert later not in (None, run_id)
    service.publish(again, "1")
    service.finish(again)
    theirs = service.claimed(str(later))
    assert [subject[0] for subject in theirs.subjects] == ["b"]


def test_a_run_that_was_handed_back_before_it_tried_anything_takes_whoever_came_meanwhile(
    service: Service,
) -> None:
    run_id = service.accepted_run()
    claim = service.claimed(run_id)
    service.accept("b")
    service.hand_back(claim)
    again = service.claimed(run_id, NOON + timedelta(seconds=1))
    assert sorted(subject[0] for subject in again.subjects) == ["a", "b"]


def test_a_published_run_is_finished_however_often_it_was_claimed(service: Service) -> None:
    run_id = service.accepted_run()
    claim = service.claimed(run_id)
    service.publish(claim, "1")
    for number in range(1, 6):
        claim = service.claimed(run_id, NOON + 2 * number * LEASE)
    service.finish(claim)
    assert service.accept("a").request.status == "completed"


def test_a_first_fit_that_read_somebody_forgotten_meanwhile_comes_too_late(service: Service) -> None:
    with service.database.read() as session:
        epoch = session.get_one(Ledger, 1).epoch
    claim = service.claimed(service.accepted_run())
    assert claim.parent_digest is None
    service.finish(claim)
    late = Version(digest="7" * 64, forget_epoch=epoch, method="fit", published_at=NOON)
    with pytest.raises(BelowErasureFloor):
        service.install(late)


def test_a_renewed_lease_is_not_taken(service: Service) -> None:
    run_id = service.accepted_run()
    claim = service.claimed(run_id)
    with service.database.unit_of_work() as session:
        assert runs.renew(session, run_id, claim.fence, until=LATER + LEASE, progress="still here")
    assert service.claim(run_id, LATER) is None


def test_a_zombie_changes_nothing(service: Service) -> None:
    run_id = service.accepted_run()
    zombie = service.claim(run_id)
    owner = service.claim(run_id, LATER)
    assert zombie is not None
    assert owner is not None
    with service.database.unit_of_work() as session:
        assert not runs.renew(session, run_id, zombie.fence, until=LATER + LEASE, progress=None)
    with pytest.raises(FenceLost), service.database.unit_of_work() as session:
        attempt_records.record(Transaction(session, service.audit), zombie, attempt(run_id, zombie.fence))
    with pytest.raises(FenceLost), service.database.unit_of_work() as session:
        pointer.announce_candidate(session, zombie, "9" * 64)
    with pytest.raises(FenceLost):
        service.publish(zombie, "9")
    with pytest.raises(FenceLost):
        service.finish(zombie)
    service.publish(owner, "1")
    service.finish(owner)
    with pytest.raises(FenceLost):
        service.finish(owner)
    with service.database.read() as session:
        assert version_queries.current(session).digest == "1" * 64
        assert attempts.of_run(session, run_id) == []


def test_a_published_run_goes_on_instead_of_starting_again(service: Service) -> None:
    run_id = service.accepted_run()
    first = service.claimed(run_id)
    service.publish(first, "1")
    service.accept("b")
    second = service.claimed(run_id, LATER)
    assert second.stage == RunStage.PUBLISHED
    assert second.covers_epoch == first.covers_epoch
    assert second.subjects == first.subjects


def test_the_pointer_moves_only_from_the_runs_own_parent(service: Service) -> None:
    claim = service.claimed(service.accepted_run())
    version = Version(digest="7" * 64, forget_epoch=0, method="fit", published_at=NOON)
    service.install(version)
    with pytest.raises(PointerMoved):
        service.publish(claim, "1")
    with service.database.unit_of_work() as session:
        rebased = pointer.rebase(session, claim)
    assert rebased.parent_digest == "7" * 64
    assert service.publish(rebased, "1") == 2


def test_publishing_raises_the_floor_and_nothing_below_it_is_ever_live_again(service: Service) -> None:
    original = Version(digest="7" * 64, forget_epoch=0, method="fit", published_at=NOON)
    service.install(original)
    claim = service.claimed(service.accepted_run())
    with pytest.raises(BelowErasureFloor):
        service.publish(claim, "1", forget_epoch=claim.covers_epoch - 1)
    service.publish(claim, "1")
    rollback = Version(digest="7" * 64, forget_epoch=0, method="fit", published_at=NOON)
    with pytest.raises(BelowErasureFloor):
        service.install(rollback, parent="1" * 64)
    with service.database.read() as session:
        assert version_queries.current(session).erasure_floor == claim.covers_epoch
        assert version_queries.current(session).digest == "1" * 64


def test_what_was_found_of_one_version_settles_nobody_under_another(service: Service) -> None:
    """A run had found that nothing has read its subject; then a version became live that it has not looked at."""
    claim = service.claimed(service.accepted_run())
    service.install(Version(digest="7" * 64, forget_epoch=0, method="fit", published_at=NOON))
    with pytest.raises(PointerMoved):
        service.finish(claim)
    assert service.accept("a").request.status == "unlearning"


def test_a_run_that_was_overtaken_lowers_no_floor(service: Service) -> None:
    """A version that covers more became live meanwhile: rebased on it, the run's own would cover less."""
    claim = service.claimed(service.accepted_run())
    covers = claim.covers_epoch + 5
    service.install(Version(digest="7" * 64, forget_epoch=covers, method="fit", published_at=NOON))
    with service.database.unit_of_work() as session:
        rebased = pointer.rebase(session, claim)
    with pytest.raises(BelowErasureFloor):
        service.publish(rebased, "1")
    with service.database.read() as session:
        assert (version_queries.current(session).digest, version_queries.current(session).erasure_floor) == (
            "7" * 64,
            covers,
        )


def test_a_lost_message_is_rung_again_and_not_by_everyone_at_once(service: Service) -> None:
    run_id = service.accepted_run()
    assert service.due() == [run_id]
    assert service.due() == []
    assert service.due(NOON + timedelta(seconds=31)) == [run_id]
    assert service.claim(run_id, NOON + timedelta(seconds=31))
    assert service.due(NOON + timedelta(seconds=62)) == []
    assert service.due(NOON + timedelta(minutes=5)) == [run_id]


def test_queued_requests_without_a_run_get_one(service: Service) -> None:
    run_id = service.accepted_run()
    with service.database.unit_of_work() as session:
        run = session.get_one(Run, run_id)
        run.status = "completed"
    with service.database.unit_of_work() as session:
        healed = runs.heal_queue(session, NOON)
    assert healed not in (None, run_id)
    with service.database.unit_of_work() as session:
        assert runs.heal_queue(session, NOON) is None


def test_the_policy_is_on_record_before_the_first_attempt(service: Service) -> None:
    claim = service.claimed(service.accepted_run())
    with service.database.unit_of_work() as session:
        attempt_records.record(Transaction(session, service.audit), claim, attempt(claim.run_id, claim.fence))
    from sqlalchemy import select

    from app.db.models import AuditEntry

    with service.database.read() as session:
        actions = {
            entry.action: entry for entry in session.scalars(select(AuditEntry).order_by(AuditEntry.sequence))
        }
    assert actions["run.claimed"].data["policy_hash"] == "f" * 64
    assert actions["run.claimed"].sequence < actions["run.attempted"].sequence


def test_counts_call_everything_unfinished_overdue(service: Service) -> None:
    service.accept("a")
    with service.database.read() as session:
        counts = forget_requests.counts(session, NOON + timedelta(days=60))
    assert counts.overdue == 1
    assert counts.by_status == {"queued": 1}
