from __future__ import annotations

from datetime import datetime, timedelta

from fastapi.testclient import TestClient

from app.db.base import utc_now
from tests.clocks import clock_off_by


def test_a_gateway_whose_clock_is_wrong_gives_the_right_deadline(client: TestClient) -> None:
    before = utc_now()
    with clock_off_by(timedelta(days=40)):
        answer = client.post("/users/user-1/forget")
        again = client.get(answer.headers["Location"]).json()
    received = datetime.fromisoformat(answer.json()["received_at"])
    assert before - timedelta(seconds=1) < received < utc_now() + timedelta(seconds=1)
    assert again["overdue"] is False
