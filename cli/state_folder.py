"""The folder of an installation made by `lethe up`: its settings, its secrets, and its gateway's address."""

from __future__ import annotations

import json
import os
import secrets
from pathlib import Path

from cli.failures import CommandError

_SECRETS, _KEY, _ADDRESS = "secrets.json", "demo-key", "address"
_DRAWN = ("LETHE_SUBJECT_KEY", "LETHE_AUDIT_KEY", "LETHE_SIGNING_KEY")
# A folder of an earlier release has no such secret yet. Nothing depends on it before the first receipt.
_LATER = "LETHE_SIGNING_KEY"
# An environment with one of these variables means another installation, even if other variables are missing.
_OF_AN_INSTALLATION = {"LETHE_DATABASE_URL", "LETHE_STORE_URL", "LETHE_SUBJECT_KEY", "LETHE_AUDIT_KEY"}


def environment_of(state: Path) -> dict[str, str]:
    """The settings of the installation in this folder. Draws secrets if the folder has none.

    Raises:
        CommandError: the folder cannot be used.
    """
    return {
        "LETHE_ENVIRONMENT": "production",
        "LETHE_DATABASE_URL": f"sqlite:///{state}/lethe.sqlite3",
        "LETHE_BROKER_URL": f"filesystem://{state}/broker",
        "LETHE_STORE_URL": str(state / "store"),
        "LETHE_BASE": str(state / "base"),
        # Shorter than the defaults: on one machine, the run of a killed worker is claimed again within seconds.
        "LETHE_LEASE_SECONDS": "15",
        "LETHE_HEARTBEAT_SECONDS": "3",
        "LETHE_SWEEP_SECONDS": "2",
        "LETHE_REDISPATCH_SECONDS": "10",
        **_secrets(state),
    }


def use_settings_of(state: Path | None, *, explicit: bool = False) -> None:
    """Let this command use the settings of the installation in this folder.

    Args:
        state: the folder. If None, `.lethe` is used, provided that it holds an installation and the environment has no
            complete settings.
        explicit: the folder was named on the command line. Then its settings take precedence over the environment.

    Raises:
        CommandError: the folder holds no installation, or this user may not read it.
    """
    folder = (state or Path(".lethe")).resolve()
    try:
        installed = (folder / _SECRETS).is_file()
    except OSError as error:
        raise CommandError(f"cannot look into {folder}: {error.strerror}") from error
    if not installed:
        if state is not None:
            raise CommandError(f"lethe up has made no installation in {state}")
        return
    if state is None and (os.environ.keys() & _OF_AN_INSTALLATION or _settings_are_complete()):
        return
    os.environ.update(environment_of(folder) if explicit else {**environment_of(folder), **os.environ})


def _settings_are_complete() -> bool:
    from pydantic import ValidationError

    from app.settings import get_settings

    try:
        get_settings()
    except ValidationError:
        return False
    return True


def kept_key(state: Path) -> str | None:
    """The key that `lethe up` has issued for the users of this folder."""
    return _read(state / _KEY)


def keep_key(state: Path, key: str) -> None:
    _write_privately(state / _KEY, key)


def kept_address(state: Path) -> str | None:
    """The gateway's address at the last start of `lethe up`."""
    return _read(state / _ADDRESS)


def keep_address(state: Path, url: str) -> None:
    _write_privately(state / _ADDRESS, url)


def drop_address(state: Path) -> None:
    """Delete the address after the gateway has ended: another program may listen there next."""
    try:
        (state / _ADDRESS).unlink(missing_ok=True)
    except OSError as error:
        raise CommandError(f"cannot use {state / _ADDRESS}: {error.strerror}") from error


def _secrets(state: Path) -> dict[str, str]:
    """The installation's secrets. They are drawn once and stored with mode 0600.

    Without them, no user in the database could be recognised any more.
    """
    path = state / _SECRETS
    try:
        state.mkdir(mode=0o700, parents=True, exist_ok=True)
        if not path.exists():
            _write_privately(path, json.dumps({name: secrets.token_hex(32) for name in _DRAWN}))
        stored = json.loads(path.read_text())
        found = {name: str(stored[name]) for name in _DRAWN if name != _LATER or name in stored}
        if _LATER not in found:
            found[_LATER] = secrets.token_hex(32)
            _write_privately(path, json.dumps(found))
        return found
    except OSError as error:
        raise CommandError(
            f"cannot use {state}: {error.strerror}; choose another folder with --state or LETHE_STATE"
        ) from error
    except (ValueError, TypeError, KeyError) as error:
        raise CommandError(f"{path} does not hold the secrets any more; put back a copy of it") from error


def _read(path: Path) -> str | None:
    try:
        return path.read_text().strip() or None
    except FileNotFoundError:
        return None
    except OSError as error:
        raise CommandError(f"cannot use {path}: {error.strerror}") from error


def _write_privately(path: Path, text: str) -> None:
    # Written to a temporary file and then renamed: the next start would take half a file for the whole.
    building = path.with_name(path.name + ".building")
    try:
        building.unlink(missing_ok=True)
        descriptor = os.open(building, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w") as file:
            file.write(text)
        building.rename(path)
    except OSError as error:
        raise CommandError(f"cannot use {path}: {error.strerror}") from error
