"""All checks in the order in which whoever mends an installation needs them."""

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
    """Every check against the settings in force; one that fails does not keep the others from being made.

    Args:
        state: the folder that `lethe up` keeps, for the files in it.
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
    """What the check finds; if it breaks, that is a finding too."""
    try:
        found = check()
        return [found] if isinstance(found, Finding) else [*found]
    except PermissionError:
        return [
            failure(what, "this user may not look there (PermissionError)", "run as the user who owns it")
        ]
    except Exception as error:  # noqa: BLE001  (whatever it is, the other checks are still worth making)
        # Not its text: that may hold a secret.
        return [
            failure(what, f"the check broke ({type(error).__name__})", "see the settings that it looks at")
        ]


def _settings() -> tuple[Settings | None, list[Finding]]:
    """The settings, and what is wrong with them; where that is the secrets alone, those that there are."""
    try:
        return get_settings(), []
    except (ValidationError, SettingError, OSError, UnicodeDecodeError) as error:
        told = describe(error) or type(error).__name__
    advice = "correct it in the environment or in .env"
    try:
        # Placeholders are good for looking at all the rest.
        return Settings(environment="development"), [failure("keys", told, advice)]
    except (ValidationError, OSError, UnicodeDecodeError):
        return None, [failure("settings", told, advice)]
