"""How long a request may stay in a state, as the request policy's file says it (R-4)."""

from __future__ import annotations

import json
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from app.db.models import RequestStatus
from app.failures import SettingError
from app.forget_requests.policy import PACKAGED, RequestPolicy, load_request_policy
from app.settings import Settings


def loaded(folder: Path, policy: dict[str, Any]) -> RequestPolicy:
    file = folder / "policy.json"
    file.write_text(json.dumps(policy), encoding="utf-8")
    return load_request_policy(Settings(environment="development", request_policy=str(file)))


def test_r4_a_file_sets_some_limits_and_the_others_keep_theirs(tmp_path: Path) -> None:
    longest = loaded(tmp_path, {"longest_hours": {"queued": 0.5, "on_hold": 8784}}).longest_hours
    assert longest.of(RequestStatus.QUEUED) == timedelta(minutes=30)
    assert longest.of(RequestStatus.ON_HOLD) == timedelta(days=366)
    assert longest.of(RequestStatus.UNLEARNING) == timedelta(days=1)


@pytest.mark.parametrize("name", PACKAGED)
def test_r4_the_packaged_policies_limit_every_state(name: str) -> None:
    longest = load_request_policy(Settings(environment="development", request_policy=name)).longest_hours
    assert all(longest.of(RequestStatus(status)) > timedelta() for status in type(longest).model_fields)


@pytest.mark.parametrize(
    ("hours", "where"),
    [
        ({"queued": 0}, "longest_hours.queued"),
        ({"queued": -1}, "longest_hours.queued"),
        ({"queued": 8784.1}, "longest_hours.queued"),
        ({"queued": float("nan")}, "longest_hours.queued"),
        ({"queued": "soon"}, "longest_hours.queued"),
        ({"queued": None}, "longest_hours.queued"),
        ({"completed": 24}, "longest_hours.completed"),
        (24, "longest_hours"),
    ],
)
def test_r4_a_limit_that_is_none_is_refused_in_one_line(tmp_path: Path, hours: Any, where: str) -> None:
    with pytest.raises(SettingError) as refused:
        loaded(tmp_path, {"longest_hours": hours})
    said = str(refused.value)
    assert f"policy.json: {where}: " in said
    assert "\n" not in said
