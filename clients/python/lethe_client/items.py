"""Items that were taken down."""

from __future__ import annotations

from datetime import datetime

from lethe_client.models import Model, Part


class Takedown(Model):
    """A takedown: ``hidden`` until nothing that exists has read the item's events, then ``erased``."""

    id: str
    item_id: str
    status: str
    in_catalogue: bool
    client_reference: str | None
    taken_down_at: datetime
    erased_at: datetime | None
    events_erased: int
    run: str | None
    version: str | None
    parts: list[Part]


class TakedownPage(Model):
    """Some takedowns; ``next_cursor`` is None on the last page."""

    takedowns: list[Takedown]
    next_cursor: str | None
