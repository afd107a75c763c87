from __future__ import annotations

import os
from pathlib import Path

import pytest
from pydantic import ValidationError

from app.broker import celery_options
from app.failures import describe
from app.settings import Settings
from tests.modes import open_to_others

SECRET = "0123456789abcdef0123456789abcdef"
OTHER_SECRET = SECRET[::-1]


def settings(**values: object) -> Settings:
    return Settings(_env_file=None, **values)  # type: ignore[call-arg, arg-type]


def test_placeholder_secrets_are_refused_outside_development() -> None:
    with pytest.raises(ValidationError, match="LETHE_SUBJECT_KEY must be a secret"):
        settings()
    with pytest.raises(ValidationError, match="LETHE_AUDIT_KEY must be a secret"):
        settings(subject_key=SECRET)
    with pytest.raises(ValidationError, match="LETHE_AUDIT_KEY"):
        settings(subject_key=SECRET, audit_key="too short")
    assert settings(subject_key=SECRET, audit_key=OTHER_SECRET).environment == "production"


@pytest.mark.parametrize("environment", ["production", "development"])
@pytest.mark.parametrize("blank", ["", " " * 40, "\t\n" * 20])
def test_blank_secrets_are_refused(environment: str, blank: str) -> None:
    for name, other in (("subject_key", "audit_key"), ("audit_key", "subject_key")):
        with pytest.raises(ValidationError) as raised:
            settings(environment=environment, **{name: blank, other: SECRET})
        line = describe(raised.value)
        assert line == f"LETHE_{name.upper()}: must not be blank (try: openssl rand -hex 32)"


def test_a_secret_is_not_made_longer_by_spaces() -> None:
    with pytest.raises(ValidationError, match="LETHE_AUDIT_KEY must be a secret"):
        settings(subject_key=SECRET, audit_key="x" + " " * 40)


@pytest.mark.parametrize("environment", ["production", "development"])
@pytest.mark.parametrize("audit_key", [SECRET, f" {SECRET}\n"])
def test_equal_secrets_are_refused(environment: str, audit_key: str) -> None:
    with pytest.raises(ValidationError) as raised:
        settings(environment=environment, subject_key=SECRET, audit_key=audit_key)
    line = describe(raised.value)
    assert line == (
        "LETHE_AUDIT_KEY must not be the same secret as LETHE_SUBJECT_KEY (try: openssl rand -hex 32)"
    )
    assert SECRET not in str(line)


def test_development_accepts_placeholders() -> None:
    assert settings(environment="development").subject_key.get_secret_value().startswith("development-only")


def test_secrets_do_not_show_in_the_representation() -> None:
    assert SECRET not in repr(settings(subject_key=SECRET, audit_key=OTHER_SECRET))


@pytest.mark.parametrize(
    "contradiction",
    [
        {"replica_timeout_seconds": 1.0, "feed_lease_seconds": 1.0},
        {"lease_seconds": 10.0, "heartbeat_seconds": 6.0},
        {"run_soft_limit_seconds": 60, "run_hard_limit_seconds": 60},
    ],
)
def test_contradicting_settings_are_refused(contradiction: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        settings(environment="development", **contradiction)


def test_a_message_stays_invisible_for_longer_than_any_run() -> None:
    made = settings(environment="development", broker_url="redis://localhost/1")
    options = celery_options(made)["broker_transport_options"]
    assert options["visibility_timeout"] > made.run_hard_limit_seconds


def test_the_embedded_broker_is_a_folder(tmp_path: Path) -> None:
    made = settings(environment="development", broker_url=f"filesystem://{tmp_path}/broker")
    options = celery_options(made)["broker_transport_options"]
    assert options["data_folder_in"] == options["data_folder_out"] == str(tmp_path / "broker" / "messages")
    assert (tmp_path / "broker" / "messages").is_dir()


def test_the_folders_of_the_embedded_broker_let_nobody_else_in(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        celery_options(settings(environment="development", broker_url=f"filesystem://{tmp_path}/broker"))
    finally:
        os.umask(before)
    assert open_to_others(tmp_path / "broker") == []


def test_an_unknown_broker_is_named_in_the_error() -> None:
    with pytest.raises(ValueError, match="kafka"):
        celery_options(settings(environment="development", broker_url="kafka://localhost"))


@pytest.mark.parametrize(
    "value", ["lethe", "/", "/lethe/", "//lethe", "/a b", "/../x", "/a/./b", "/ü", "/a?b", "/a\n"]
)
def test_a_prefix_is_empty_or_a_path_without_a_slash_at_its_end(value: str) -> None:
    assert settings(environment="development", root_path="/privacy/lethe-2").root_path == "/privacy/lethe-2"
    with pytest.raises(ValidationError, match="without a slash at its end"):
        settings(environment="development", root_path=value)


def test_webhooks_are_off_without_a_key_of_their_own() -> None:
    both = {"subject_key": SECRET, "audit_key": OTHER_SECRET}
    assert settings(**both).webhook_key is None
    assert settings(**both, webhook_key=" ").webhook_key is None
    for weak in ("too short", "development-only-webhook-key-of-32-bytes"):
        with pytest.raises(ValidationError, match="LETHE_WEBHOOK_KEY must be a secret"):
            settings(**both, webhook_key=weak)
    with pytest.raises(ValidationError, match="LETHE_WEBHOOK_KEY must be a secret of its own"):
        settings(**both, webhook_key=f"{OTHER_SECRET} ")
    assert settings(environment="development", webhook_key="development-only").webhook_key is not None


def test_webhooks_go_into_private_networks_in_development_only() -> None:
    with pytest.raises(ValidationError, match="LETHE_ALLOW_PRIVATE_WEBHOOKS works only with"):
        settings(subject_key=SECRET, audit_key=OTHER_SECRET, allow_private_webhooks=True)
    assert settings(environment="development", allow_private_webhooks=True).allow_private_webhooks
