"""Checks of the database, its clock, the broker and the store: do they answer, and do they belong together?"""

from __future__ import annotations

import re
import threading
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from urllib.parse import unquote, urlsplit

from sqlalchemy import Engine

from app.broker import celery_options
from app.db.address import parse_address, public_address
from app.db.clock import database_now
from app.db.errors import DatabaseError
from app.db.models import Ledger
from app.db.schema import require_current_schema, require_writable
from app.db.session import Database, open_database, translated
from app.settings import Settings
from app.subjects import SubjectKey
from cli.doctor.findings import Finding, failure, ok, warning
from model_store import Store, StoreError, open_store

_CLOCKS_APART_SECONDS = 2.0
_BROKER_SECONDS = 3
_HOST = re.compile(r"\[[0-9A-Fa-f:.]+\]|[^:/?#\[\]]+")


def database_file(settings: Settings) -> Path | None:
    """The file of an SQLite database; None for a server or an unreadable address."""
    try:
        url = parse_address(settings.database_url)
    except DatabaseError:
        return None
    return Path(url.database or "") if url.get_backend_name() == "sqlite" else None


def local_folder(store_url: str) -> Path | None:
    """The folder of the store; None if it is not on this machine."""
    if "://" not in store_url and not store_url.startswith(("file:", "memory:")):
        return Path(store_url)
    parts = urlsplit(store_url)
    return Path(unquote(parts.path)) if parts.scheme == "file" else None


def check_database(settings: Settings) -> Finding:
    file = database_file(settings)
    if file is not None and not file.is_file():
        # Stop here: connecting would create the file.
        return failure("database", f"there is no {file}", "run: lethe migrate")
    try:
        engine = open_database(settings.database_url, pooled=False)
        require_current_schema(engine)
        require_writable(engine)
        with Database(engine).read() as session:
            known = session.get_one(Ledger, 1).subject_key_check
    except DatabaseError as error:
        return failure("database", _one_line(error), "LETHE_DATABASE_URL says where it is")
    own = SubjectKey(settings.subject_key.get_secret_value().encode()).check
    if known not in (None, own):
        return failure(
            "database",
            "its subjects were named with another LETHE_SUBJECT_KEY",
            "put that key back: with this one nobody who was forgotten is recognised",
        )
    return ok("database", f"{public_address(engine.url)} ({_release(engine)}), schema current, writable")


def _release(engine: Engine) -> str:
    name = {"sqlite": "SQLite", "postgresql": "PostgreSQL"}[engine.dialect.name]
    with translated(engine), engine.connect():
        release = engine.dialect.server_version_info
    return name if release is None else f"{name} {'.'.join(map(str, release))}"


def check_clock(settings: Settings) -> Finding:
    file = database_file(settings)
    if file is not None and not file.is_file():
        return warning("clock", "there is no database to compare it with", "run: lethe migrate")
    try:
        with Database(open_database(settings.database_url, pooled=False)).read() as session:
            # A first call opens the connection, so that its time is not measured.
            database_now(session)
            before = datetime.now(UTC)
            theirs = database_now(session)
            after = datetime.now(UTC)
    except DatabaseError:
        return warning("clock", "the database does not tell its time", "mend the database first")
    apart = max((before - theirs).total_seconds(), (theirs - after).total_seconds(), 0.0)
    if apart > _CLOCKS_APART_SECONDS:
        return warning(
            "clock",
            f"this machine and the database are {apart:.0f} s apart",
            "let both keep time by NTP: leases and deadlines go by the database's, records also by this one",
        )
    return ok("clock", f"within {_CLOCKS_APART_SECONDS:.0f} s of the database's")


def public_broker(url: str) -> str:
    """Scheme and host of each broker in the URL. Any other part may be a secret, or part of one."""
    if url.startswith("filesystem://"):
        return url
    return ";".join(_public_part(part) for part in url.split(";"))


def _public_part(url: str) -> str:
    scheme, separator, rest = url.partition("://")
    place = (rest if separator else scheme).rpartition("@")[2]
    host = _HOST.match(place)
    return f"{scheme}://{host[0] if host else 'localhost'}" if separator else (host[0] if host else "")


def check_broker(settings: Settings) -> Finding:
    url = settings.broker_url
    if url.startswith("filesystem://"):
        folder = Path(url.removeprefix("filesystem://"))
        if not folder.is_dir():
            return warning("broker", f"there is no folder {folder} yet", "the first process makes it")
        return ok("broker", f"{url}: a folder of this machine, for one machine only")
    public = public_broker(url)
    wrong = _asked_within(_BROKER_SECONDS, lambda: _connect(settings))
    if wrong is not None:
        return failure(
            "broker",
            f"{public} does not answer: {wrong}",
            "start it, or correct LETHE_BROKER_URL; requests are kept",
        )
    return ok("broker", f"{public} answers")


def _connect(settings: Settings) -> str | None:
    """Why the broker cannot be reached, without any password; None if it can."""
    from kombu.connection import Connection
    from kombu.exceptions import OperationalError

    url = settings.broker_url
    options = celery_options(settings)["broker_transport_options"]
    with Connection(url, connect_timeout=_BROKER_SECONDS, transport_options=options) as connection:
        try:
            connection.ensure_connection(max_retries=1, interval_start=0, timeout=_BROKER_SECONDS)
        except (OperationalError, *connection.connection_errors, *connection.channel_errors) as error:
            reason = _one_line(error)
            for part in url.split(";"):
                password = urlsplit(part).password
                for spelling in {password, unquote(password)} if password else ():
                    reason = reason.replace(spelling, "***")
            return reason
    return None


def _asked_within(seconds: float, ask: Callable[[], str | None]) -> str | None:
    """The answer, or a message that none came in time. A server that accepts and never answers must not block this."""
    answers: list[str | None] = []

    def work() -> None:
        try:
            answers.append(ask())
        except Exception as error:  # noqa: BLE001  (reported below, by its type only)
            answers.append(type(error).__name__)

    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    thread.join(seconds)
    return answers[0] if answers else f"nothing was said within {seconds:.0f} s"


def check_store(settings: Settings) -> Finding:
    folder = local_folder(settings.store_url)
    if folder is not None and not folder.is_dir():
        return warning("store", f"there is no folder {folder} yet", "run: lethe init")
    try:
        store = open_store(settings.store_url)
        versions, timeline = len(store.versions()), store.newest_timeline()
        health = store.check()
        exclusive = folder is None or _creates_only_what_is_absent(folder)
    except (StoreError, OSError) as error:
        return failure("store", f"it cannot be read: {_one_line(error)}", "LETHE_STORE_URL says where it is")
    if not health.writable:
        return failure(
            "store", f"it cannot be written: {health.detail}", "what must be written waits until it can"
        )
    if not exclusive:
        return failure(
            "store",
            "a second writer can replace what the first has written: its file system makes no hard links",
            "put the store on a local file system of Linux",
        )
    if timeline is None and _has_timeline(settings):
        return failure(
            "store",
            "it knows no timeline, and the database had one: it is not this database's store, or was emptied",
            "mount the right one; if it is lost for good: lethe recover --store-lost",
        )
    return ok(
        "store",
        f"{settings.store_url}: readable, creates what is absent and nothing else, {versions} versions",
    )


def _creates_only_what_is_absent(folder: Path) -> bool:
    """Whether this file system refuses to create a hard link that exists: the store relies on that."""
    with TemporaryDirectory(dir=folder, prefix=".doctor-") as scratch:
        written, name = Path(scratch) / "written", Path(scratch) / "name"
        written.touch()
        try:
            name.hardlink_to(written)
            name.hardlink_to(written)
        except FileExistsError:
            return True
        except OSError:
            return False
    return False


def _has_timeline(settings: Settings) -> bool:
    file = database_file(settings)
    if file is not None and not file.is_file():
        return False
    try:
        with Database(open_database(settings.database_url, pooled=False)).read() as session:
            return session.get_one(Ledger, 1).timeline is not None
    except DatabaseError:
        return False


def newest_version_bytes(settings: Settings, store: Store) -> int | None:
    """Size of the live version in the store, in bytes; None if no version is live or its size is unknown."""
    from app.versions import queries as versions

    try:
        with Database(open_database(settings.database_url, pooled=False)).read() as session:
            live = versions.current(session).digest
        return None if live is None else sum(blob.bytes for blob in store.read_manifest(live).blobs.values())
    except (DatabaseError, StoreError):
        return None


def _one_line(error: BaseException) -> str:
    return " ".join(str(error).split()) or type(error).__name__
