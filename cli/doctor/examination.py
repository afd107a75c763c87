"""All checks, in the order in which an operator needs them to repair an installation."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from functools import partial
from pathlib import Path

from pydantic import ValidationError

from app.failures import SettingError, describe
from app.settings import Settings, get_settings
from cli.doctor import machine, services
from cli.doctor.findings import Finding, failure
from cli.progress import watch


def examine(state: Path) -> Iterator[Finding]:
    """Run every check against the settings in force. A failed check does not prevent the others.

    Args:
        state: the folder of `lethe up`, whose files are checked too.
    """
    settings, wrong = _settings()
    yield from wrong
    checks: list[tuple[str, Callable[[], Finding | Iterable[Finding]]]] = []
    if settings is not None:
        if not wrong:
            checks.append(("secrets", partial(machine.check_keys, settings)))
        checks += [
            ("database", partial(services.check_database, settings)),
            ("clock", partial(services.check_clock, settings)),
            ("broker", partial(services.check_broker, settings)),
            ("store", partial(services.check_store, settings)),
            ("disk", partial(machine.check_disk, settings)),
            ("permissions", partial(machine.check_permissions, settings, state)),
            ("devices: torch is being loaded", partial(machine.check_devices, settings)),
        ]
    for what, check in checks:
        with watch("looking at") as show:
            show(what)
            told = _look(what.partition(":")[0], check)
        yield from told


def _look(what: str, check: Callable[[], Finding | Iterable[Finding]]) -> list[Finding]:
    """The findings of a check. A check that raises is a finding too."""
    try:
        found = check()
        return [found] if isinstance(found, Finding) else [*found]
    except PermissionError:
        return [
            failure(what, "this user may not look there (PermissionError)", "run as the user who owns it")
        ]
    except Exception as error:  # noqa: BLE001  (any failure: the other checks must still run)
        # Without the exception's text, which may contain a secret.
        return [
            failure(what, f"the check broke ({type(error).__name__})", "see the settings that it looks at")
        ]


def _settings() -> tuple[Settings | None, list[Finding]]:
    """The settings, and what is wrong with them. If only the secrets are wrong, the other settings are returned."""
    try:
        return get_settings(), []
    except (ValidationError, SettingError, OSError, UnicodeDecodeError) as error:
        told = describe(error) or type(error).__name__
    advice = "correct it in the environment or in .env"
    try:
        # With placeholders for the secrets, the rest can still be checked.
        return Settings(environment="development"), [failure("keys", told, advice)]
    except (ValidationError, OSError, UnicodeDecodeError):
        return None, [failure("settings", told, advice)]
