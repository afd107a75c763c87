"""What `lethe store check` and `lethe recover` make of the journal: nobody is erased whose request nobody verified."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from app.audit.transaction import Transaction
from app.db.models import ForgetRequest
from app.forget_requests import decisions, unverified, verification
from app.forget_requests import service as forget_requests
from app.forget_requests.decisions import Decision
from app.forget_requests.policy import RequestPolicy
from app.forget_requests.service import Asked
from app.restoration.inventory import Lack, take_inventory
from app.restoration.journal import journal_of
from app.restoration.service import join_timeline
from app.selections.criteria import Criteria, item_digests
from app.takedowns import service as takedowns
from model_store import JournalEntry, MemoryStore
from tests.integration.db.conftest import NOON, Service
from tests.integration.takedowns import take_down, takedown_of

# The database's part is a few plain queries.
pytestmark = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)

SUBJECT = "a" * 64
SELECTION = Criteria(item_digests(SUBJECT, ["x"]), None, None, int(NOON.timestamp()))


@pytest.fixture
def store(service: Service) -> MemoryStore:
    made = MemoryStore()
    join_timeline(service.database, service.audit, made)
    return made


def receive(service: Service, criteria: Criteria | None = None) -> ForgetRequest:
    with Transaction.begin(service.database, service.audit) as transaction:
        return verification.receive(
            transaction,
            subject_hmac=SUBJECT,
            requested_by="user",
            now=NOON,
            policy=RequestPolicy(verification_hours=24),
            asked=Asked(subject_commitment="c" * 64),
            criteria=criteria,
        ).request


def end(service: Service, request: ForgetRequest, how: str) -> None:
    with Transaction.begin(service.database, service.audit) as transaction:
        held = transaction.session.get_one(ForgetRequest, request.id)
        if how == "expired":
            assert unverified.expire(transaction, NOON + timedelta(days=3)) == 1
        elif how == "denied":
            for actor in ("one", "two"):
                decisions.deny(transaction, held, Decision(actor, NOON, "no_match"))
        elif how == "cancelled":
            decisions.cancel(transaction, held, Decision("user", NOON, "other"))


def check(service: Service, store: MemoryStore) -> list[tuple[str, str, bool]]:
    """The findings of a check that repairs what it can."""
    inventory = take_inventory(service.database, service.audit, store, repair=True)
    return [(one.lack, one.about, one.repaired) for one in inventory.findings]


@pytest.mark.parametrize("criteria", [None, SELECTION], ids=["person", "selection"])
@pytest.mark.parametrize("how", ["waits", "expired", "denied", "cancelled"])
def test_what_nobody_has_verified_is_not_missing_in_the_journal(
    service: Service, store: MemoryStore, criteria: Criteria | None, how: str
) -> None:
    request = receive(service, criteria)
    end(service, request, how)
    assert check(service, store) == []
    assert list(store.journal()) == []
    assert join_timeline(service.database, service.audit, store) == 0
    assert service.suppressed() == set()


def test_what_is_superseded_is_left_out_and_what_supersedes_it_is_not(
    service: Service, store: MemoryStore
) -> None:
    receive(service)
    accepted = service.accept("a").request
    assert check(service, store) == [(Lack.JOURNAL_GAP, str(accepted.epoch), True)]
    assert [entry.request for entry in store.journal()] == [accepted.id]


def test_the_journal_of_a_database_is_what_its_processes_have_written(
    service: Service, store: MemoryStore
) -> None:
    receive(service)
    accepted = service.accept("b").request
    taken = take_down(service.database, service.audit, "x")
    with service.database.read() as session:
        assert journal_of(session) == [
            forget_requests.journal_entry(accepted),
            takedowns.journal_entry(taken),
        ]


def test_no_process_writes_an_entry_about_what_nobody_has_verified(service: Service) -> None:
    with pytest.raises(ValueError, match="nobody has verified it"):
        forget_requests.journal_entry(receive(service))


def test_another_item_at_the_epoch_of_a_takedown_is_found_and_recovered(
    service: Service, store: MemoryStore
) -> None:
    mine = takedowns.journal_entry(take_down(service.database, service.audit, "mine"))
    store.append_journal(replace(mine, item="theirs", request=f"td_{'e' * 32}"))
    assert check(service, store) == [(Lack.JOURNAL_UNKNOWN, str(mine.epoch), False)]
    assert join_timeline(service.database, service.audit, store) == 1
    moved = {takedown_of(service.database, item).epoch for item in ("mine", "theirs")}
    assert mine.epoch not in moved
    assert sorted(check(service, store)) == sorted((Lack.JOURNAL_GAP, str(epoch), True) for epoch in moved)
    assert check(service, store) == []


@pytest.mark.parametrize(
    ("change", "found"),
    [
        ({}, False),
        ({"request": None}, False),  # an entry of an earlier release
        ({"request": f"fr_{'e' * 32}"}, True),
        ({"selection": SELECTION.to_plain(), "schema": 4}, True),
        ({"lifted": "cancelled", "schema": 3}, True),
        ({"subject_hmac": "b" * 64}, True),
    ],
    ids=["same", "unnamed", "request", "selection", "lift", "subject"],
)
def test_an_entry_that_says_something_else_is_found(
    service: Service, store: MemoryStore, change: dict[str, object], found: bool
) -> None:
    ours = forget_requests.journal_entry(service.accept("a").request)
    theirs: JournalEntry = replace(ours, **change)  # type: ignore[arg-type]
    store.append_journal(theirs)
    assert check(service, store) == ([(Lack.JOURNAL_UNKNOWN, str(ours.epoch), False)] if found else [])
