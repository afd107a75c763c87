"""R-50: when a request will be completed, from the runs and the queue that the database holds."""

from __future__ import annotations

from datetime import timedelta

from app.db.models import ForgetRequest
from app.runs import forecast
from tests.integration.db.conftest import NOON, Service

TEN = timedelta(minutes=10)


def predicted(service: Service, request_id: str, per_run: int = 64) -> timedelta | None:
    with service.database.read() as session:
        request = session.get_one(ForgetRequest, request_id)
        at = forecast.of_request(session, request, NOON, requests_per_run=per_run)
    return None if at is None else at - NOON


def test_r50_a_prediction_follows_the_queue_and_the_latest_runs(service: Service) -> None:
    first = service.accept("a")
    assert first.run_id is not None
    assert predicted(service, first.request.id) is None  # nothing was measured
    claim = service.claim(first.run_id, NOON - TEN)
    assert claim is not None
    service.publish(claim, "1")
    service.finish(claim)
    assert predicted(service, first.request.id) is None  # it is over
    second, third = service.accept("b"), service.accept("c")
    assert second.run_id is not None
    assert [predicted(service, one.request.id) for one in (second, third)] == [TEN, TEN]
    assert [predicted(service, one.request.id, per_run=1) for one in (second, third)] == [TEN, 2 * TEN]
    with service.database.unit_of_work() as session:
        session.get_one(ForgetRequest, third.request.id).expedited = True
    assert [predicted(service, one.request.id, per_run=1) for one in (second, third)] == [2 * TEN, TEN]
    assert service.claim(second.run_id, NOON) is not None
    assert predicted(service, second.request.id) == TEN
