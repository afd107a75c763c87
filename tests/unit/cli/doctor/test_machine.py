"""What of a machine is right for an installation, and what is not."""

from __future__ import annotations

from pathlib import Path

import pytest

from app.settings import Settings
from cli.doctor.findings import Finding, State, healthy, size
from cli.doctor.machine import check_keys, check_permissions, judge_disk
from cli.doctor.packages import judge_versions

SECRET = "0123456789abcdef0123456789abcdef"
PINS = [("torch", "2.13.0", None), ("fastapi", "0.165.0", "gateway"), ("celery", "5.7.0", "worker")]
HERE = {"torch": "2.13.0+cpu", "fastapi": "0.165.0", "celery": "5.7.0"}
GIB = 2**30


def settings_in(folder: Path, **values: object) -> Settings:
    return Settings(
        _env_file=None,  # type: ignore[call-arg]
        database_url=f"sqlite:///{folder}/lethe.sqlite3",
        broker_url=f"filesystem://{folder}/broker",
        store_url=str(folder / "store"),
        **values,  # type: ignore[arg-type]
    )


@pytest.mark.parametrize(
    ("here", "state", "said"),
    [
        ({}, State.OK, "3 packages as pinned"),
        ({"torch": "2.12.0"}, State.WARNING, "torch 2.12.0 instead of 2.13.0"),
        ({"torch": None}, State.FAILURE, "not installed: torch"),
        ({"fastapi": None}, State.OK, "a gateway cannot run here"),
        ({"fastapi": None, "celery": None}, State.OK, "a gateway and a worker cannot run here"),
    ],
)
def test_versions_are_compared_with_the_pins(here: dict[str, str | None], state: State, said: str) -> None:
    found = judge_versions(PINS, {**HERE, **here})
    assert found.state is state
    assert said in found.found


@pytest.mark.parametrize(
    ("free", "state"), [(19 * GIB, State.OK), (5 * GIB, State.WARNING), (1.9 * GIB, State.FAILURE)]
)
def test_a_disk_must_hold_two_versions_and_should_hold_ten(free: float, state: State) -> None:
    found = judge_disk(int(free), GIB, Path("/somewhere"))
    assert found.state is state
    assert "a version takes about 1.0 GiB" in found.found


def test_what_others_may_look_into_is_named_with_the_command_that_closes_it(tmp_path: Path) -> None:
    settings = settings_in(tmp_path, environment="development")
    assert check_permissions(settings, tmp_path).state is State.OK
    (tmp_path / "lethe.sqlite3").touch(0o600)
    (tmp_path / "store").mkdir(0o700)
    assert check_permissions(settings, tmp_path).state is State.OK
    (tmp_path / "store").chmod(0o750)
    found = check_permissions(settings, tmp_path)
    assert found.state is State.WARNING
    assert found.advice == f"chmod go= {tmp_path / 'store'}"


def test_placeholders_are_warned_of_and_secrets_never_told(tmp_path: Path) -> None:
    assert check_keys(settings_in(tmp_path, environment="development")).state is State.WARNING
    secrets = {"subject_key": SECRET, "audit_key": SECRET[::-1]}
    found = check_keys(settings_in(tmp_path, **secrets))
    assert (found.state, found.found) == (
        State.WARNING,
        "LETHE_SIGNING_KEY is not set, so no gateway starts here",
    )
    found = check_keys(settings_in(tmp_path, **secrets, signing_key="5e" * 32))
    assert found.state is State.OK
    assert SECRET not in found.line()


def test_only_failures_make_it_ill() -> None:
    findings = [Finding("a", state, "found") for state in (State.OK, State.WARNING)]
    assert healthy(findings)
    assert not healthy([*findings, Finding("a", State.FAILURE, "found")])


def test_sizes_as_people_read_them() -> None:
    assert [size(number) for number in (12, 2048, 5 * 2**20, 1.5 * GIB, 3 * 2**40)] == [
        "12 bytes",
        "2.0 KiB",
        "5.0 MiB",
        "1.5 GiB",
        "3.0 TiB",
    ]
