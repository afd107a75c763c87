"""`lethe store check`: what database and store have lost of each other."""

from __future__ import annotations

import json
from dataclasses import asdict

from app.audit.log import AuditLog
from app.db.schema import require_current_schema
from app.db.session import Database, open_database
from app.restoration.inventory import REPAIRABLE, take_inventory
from app.settings import get_settings
from cli.progress import watch
from cli.quiet_log import log_warnings_only
from model_store import open_store


def check(*, repair: bool, as_json: bool) -> bool:
    """Print what was found. Returns whether nothing is wrong any more.

    Raises:
        StoreError, DatabaseError: the message is one line that says what to do.
    """
    settings = get_settings()
    log_warnings_only()
    database = Database(open_database(settings.database_url, pooled=False))
    require_current_schema(database.engine)
    store = open_store(settings.store_url)
    with watch("store") as show:
        found = take_inventory(database, AuditLog.of(settings), store, repair=repair, show=show)
    if as_json:
        print(json.dumps({**asdict(found), "ok": not found.left}))
        return not found.left
    for finding in found.findings:
        about = f" {finding.about[:16]}" if finding.about else ""
        said = (
            "repaired" if finding.repaired else "--repair" if finding.lack in REPAIRABLE else "for a person"
        )
        print(f"{finding.lack}{about}: {finding.detail} ({said})")
    print(
        f"{found.versions} versions whole, {found.destroyed} destroyed, {found.journal} entries of the journal; "
        + (f"{len(found.left)} things are wrong" if found.left else "nothing is wrong")
    )
    return not found.left
