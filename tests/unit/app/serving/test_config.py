import dataclasses

import pytest

from app.serving import ServingConfig


def test_the_defaults_are_valid_and_frozen() -> None:
    config = ServingConfig("replica-1")
    with pytest.raises(dataclasses.FrozenInstanceError):
        config.replica_id = "other"  # type: ignore[misc]


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        ({"replica_id": ""}, "replica_id"),
        ({"poll_interval_seconds": 0}, "poll_interval_seconds"),
        ({"token_budget": -1}, "token_budget"),
        ({"max_queue": 0}, "max_queue"),
        ({"drain_seconds": 0}, "drain_seconds"),
        ({"history_limit": 0}, "history_limit"),
        ({"poll_jitter": 1.0}, "poll_jitter"),
        ({"cache_entries": -1}, "cache_entries"),
        ({"poll_interval_seconds": 0.9, "poll_jitter": 0.2, "lease_seconds": 1.0}, "longest pause"),
    ],
)
def test_what_cannot_work_is_refused_by_name(change: dict[str, object], complaint: str) -> None:
    with pytest.raises(ValueError, match=complaint):
        ServingConfig(**{"replica_id": "replica-1", **change})  # type: ignore[arg-type]
