from __future__ import annotations

import time
from datetime import timedelta

from app.db.base import utc_now
from app.db.clock import database_now
from app.db.models import PastReader
from app.db.session import Database
from tests.clocks import clock_off_by


def test_it_goes_on_within_a_transaction_and_is_not_this_process_s(database: Database) -> None:
    with clock_off_by(timedelta(hours=1)), database.read() as session:
        first = database_now(session)
        time.sleep(0.01)
        second = database_now(session)
    assert first < second
    assert abs(utc_now() - second) < timedelta(minutes=1)


def test_asking_for_it_writes_nothing_yet(database: Database) -> None:
    with database.unit_of_work() as session:
        waiting = PastReader(subject_hmac="a" * 64)
        session.add(waiting)
        database_now(session)
        assert waiting in session.new
