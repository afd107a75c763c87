"""R-46: requests are counted for each caller, and failures for each address."""

from __future__ import annotations

import asyncio

import pytest
from pydantic import ValidationError

from app.api_keys.rate_limits import CallerLimits, FailedLogins
from app.settings import Settings
from tests.ports import free_port


def test_r46_each_caller_has_a_limit_of_its_own() -> None:
    async def ask() -> list[int | None]:
        limits = CallerLimits("2/hour", "1/hour", "memory://")
        callers = [("crm", False), ("crm", False), ("crm", False), ("shop", False), ("u", True), ("u", True)]
        return [await limits.take(name, end_user=end_user) for name, end_user in callers]

    first, second, third, other, user, again = asyncio.run(ask())
    assert (first, second, other, user) == (None, None, None, None)
    assert third is not None
    assert again is not None
    assert all(1 <= wait <= 3600 for wait in (third, again))


def test_r46_without_a_limit_nobody_is_limited() -> None:
    async def ask() -> set[int | None]:
        limits = CallerLimits("", "", "memory://")
        return {await limits.take("crm", end_user=False) for _ in range(100)}

    assert asyncio.run(ask()) == {None}


def test_r46_a_counter_that_is_away_limits_nobody() -> None:
    async def ask() -> list[int | None]:
        limits = CallerLimits("1/hour", "", f"redis://127.0.0.1:{free_port()}/0")
        found = [await limits.take("crm", end_user=False) for _ in range(3)]
        await limits.close()
        return found

    assert asyncio.run(ask()) == [None, None, None]


def test_r46_failures_are_counted_for_each_address() -> None:
    failures = FailedLogins("2/hour")
    for _ in range(2):
        assert failures.exceeded("192.0.2.1") is None
        failures.count("192.0.2.1")
    wait = failures.exceeded("192.0.2.1")
    assert wait is not None
    assert 1 <= wait <= 3600
    assert failures.exceeded("192.0.2.2") is None
    for host in ("2001:db8::1", "2001:db8::2:1"):
        failures.count(host)
    assert failures.exceeded("2001:db8::ffff") is not None, "one customer has a whole network"
    assert failures.exceeded("2001:db8:0:1::1") is None
    assert failures.exceeded("testclient") is None


@pytest.mark.parametrize(
    "wrong",
    [
        {"rate_limit": "0/minute"},
        {"rate_limit": "many"},
        {"failed_logins": "5"},
        {"rate_limit_storage": "amqp://host"},
        {"rate_limit_storage": "redis://host/name"},
    ],
)
def test_a_limit_that_is_none_is_refused(wrong: dict[str, str]) -> None:
    with pytest.raises(ValidationError):
        Settings(environment="development", _env_file=None, **wrong)  # type: ignore[call-arg, arg-type]
