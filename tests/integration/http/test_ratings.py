"""Ratings over HTTP: a finite number beside an event, or none."""

from __future__ import annotations

import pytest
from fastapi.testclient import TestClient
from sqlalchemy import select

from app.db.models import Interaction
from app.db.session import Database
from tests.integration.tiny_model import subject_of


def test_a_rating_is_stored_with_its_event(client: TestClient, database: Database) -> None:
    event = {"user_id": "rates", "item_id": "i1"}
    events = [
        event | {"timestamp": 1, "rating": 4},
        event | {"timestamp": 2, "rating": -0.5},
        event | {"timestamp": 3, "rating": None},
        event | {"timestamp": 4},
    ]
    assert client.post("/interactions", json={"interactions": events}).json()["stored"] == 4
    with database.read() as session:
        of_user = select(Interaction.rating).where(Interaction.subject_hmac == subject_of("rates"))
        assert list(session.scalars(of_user.order_by(Interaction.timestamp))) == [4.0, -0.5, None, None]


@pytest.mark.parametrize("value", ["NaN", "Infinity", "-Infinity", "1e999", '"4"', "true", "[4]", "9" * 400])
def test_what_is_no_finite_number_is_no_rating(client: TestClient, database: Database, value: str) -> None:
    body = (
        '{"interactions": [{"user_id": "rates", "item_id": "i1", "timestamp": 1},'
        ' {"user_id": "rates", "item_id": "i2", "timestamp": 1, "rating": VALUE}]}'
    )
    answer = client.post("/interactions", content=body.replace("VALUE", value))
    assert answer.status_code == 422, answer.text
    (error,) = answer.json()["errors"]
    assert error["pointer"] == "/body/interactions/1/rating"
    with database.read() as session:
        # The batch is refused as a whole.
        assert not session.scalars(
            select(Interaction).where(Interaction.subject_hmac == subject_of("rates"))
        ).all()
