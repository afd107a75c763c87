"""Checks of this machine: devices, file permissions, disk space and secrets."""

from __future__ import annotations

import os
import shutil
import stat
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

from app.settings import PLACEHOLDER, Settings
from cli.doctor.findings import Finding, failure, ok, size, warning
from cli.doctor.services import database_file, local_folder, newest_version_bytes
from model_store import StoreError, open_store

# The model itself, and as much memory again to compute with.
_TIMES_THE_BASE = 2
# Room for a candidate beside the live version, for a version that is not destroyed yet, and for the journal.
_VERSIONS_NEEDED, _VERSIONS_WISHED = 2, 10
_SMALL_VERSION = 64 * 1024 * 1024


def check_keys(settings: Settings) -> Finding:
    secrets = (settings.subject_key, settings.audit_key)
    if any(PLACEHOLDER in secret.get_secret_value() for secret in secrets):
        return warning(
            "keys",
            "placeholders, which everybody knows",
            "fit for development only: openssl rand -hex 32 draws one",
        )
    if settings.environment != "development" and PLACEHOLDER in settings.signing_key.get_secret_value():
        return warning(
            "keys",
            "LETHE_SIGNING_KEY is not set, so no gateway starts here",
            "a worker needs none; for a gateway, openssl rand -hex 32 draws one",
        )
    return ok("keys", "LETHE_SUBJECT_KEY, LETHE_AUDIT_KEY and LETHE_SIGNING_KEY are set, and differ")


def check_devices(settings: Settings) -> Iterable[Finding]:
    import torch

    from recommender import RecommenderError, require_device

    needed = _TIMES_THE_BASE * _weights(Path(settings.base))
    for check, variable, device in (
        ("device", "LETHE_DEVICE", settings.device),
        ("worker", "LETHE_WORKER_DEVICE", settings.worker_device),
    ):
        try:
            require_device(device)
        except RecommenderError as error:
            yield failure(
                check, f"{variable}: {error}", "name another device, or install the torch built for it"
            )
            continue
        free = torch.cuda.mem_get_info(device)[0] if device.startswith("cuda") else _free_memory()
        told = f"{variable} {device}, torch {torch.__version__}"
        if free is None:
            yield ok(check, told)
        elif free < needed:
            yield warning(
                check,
                f"{told}, {size(free)} of memory free",
                f"the base and what it computes take {size(needed)}",
            )
        else:
            yield ok(check, f"{told}, {size(free)} of memory free")


def _weights(base: Path) -> int:
    return sum(file.stat().st_size for file in base.glob("*.safetensors")) if base.is_dir() else 0


def _free_memory() -> int | None:
    try:
        lines = Path("/proc/meminfo").read_text().splitlines()
    except OSError:
        return None
    for line in lines:
        name, _, value = line.partition(":")
        if name == "MemAvailable":
            return int(value.split()[0]) * 1024
    return None


def check_permissions(settings: Settings, state: Path) -> Finding:
    """Check that only the owner can read the installation's files: all of them may hold personal data."""
    url = settings.broker_url
    broker = Path(url.removeprefix("filesystem://")) if url.startswith("filesystem://") else None
    places = [database_file(settings), local_folder(settings.store_url), broker, Path(".env")]
    places += [state / name for name in ("secrets.json", "demo-key")]
    looked_at = [place for place in places if place is not None and place.exists()]
    unreadable = [place for place in looked_at if not os.access(place, os.R_OK | os.W_OK)]
    if unreadable:
        return failure(
            "permissions",
            f"this user may not read and write {_named(unreadable)}",
            "run as the user who owns it",
        )
    opened = [place for place in looked_at if stat.S_IMODE(place.stat().st_mode) & 0o077]
    if opened:
        return warning("permissions", f"others may look into {_named(opened)}", f"chmod go= {_named(opened)}")
    return ok(
        "permissions", f"private: {_named(looked_at)}" if looked_at else "nothing is kept on this machine yet"
    )


def _named(places: Iterable[Path]) -> str:
    return " ".join(str(place) for place in places)


def check_disk(settings: Settings) -> Finding:
    folder = local_folder(settings.store_url)
    place = folder
    while place is not None and not place.is_dir() and place != place.parent:
        place = place.parent
    if place is None:
        return ok("disk", "the store is on no disk of this machine")
    needed = _SMALL_VERSION
    if folder is not None and folder.is_dir():
        # The store has a check of its own, which reports its errors.
        with suppress(StoreError):
            needed = newest_version_bytes(settings, open_store(settings.store_url)) or needed
    return judge_disk(shutil.disk_usage(place).free, needed, place)


def judge_disk(free: int, version_bytes: int, place: Path) -> Finding:
    told = f"{size(free)} free at {place}; a version takes about {size(version_bytes)}"
    if free < _VERSIONS_NEEDED * version_bytes:
        return failure("disk", told, "make room: no version can be published")
    if free < _VERSIONS_WISHED * version_bytes:
        return warning("disk", told, "make room soon")
    return ok("disk", told)
