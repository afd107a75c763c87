"""Bodies of the endpoints of takedowns."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from app.db.models import ItemTakedown
from app.db.models.takedowns import TakedownState
from app.links import Links
from app.takedowns.parts import of_takedown
from app.versions.parts import Part


class TakedownBody(BaseModel):
    """Everything is optional. ``client_reference`` is your own ticket number."""

    model_config = ConfigDict(extra="forbid")

    client_reference: Annotated[
        str | None, Field(min_length=1, max_length=64, pattern=r"^[A-Za-z0-9._-]+$")
    ] = None


class TakedownView(BaseModel):
    """A takedown.

    ``status``: ``hidden`` (no answer names the item, and its events are hidden from everything that recommends or
    trains), then ``erased`` (no version that exists has read its events, every replica has acknowledged the one that
    serves, and the events are deleted). ``in_catalogue``: whether this service lists the item; any other id is taken
    too. ``events_erased`` counts the events that were deleted. ``run`` found that nothing knows the item's events any
    more, and ``version`` served then; null if none did. ``parts`` says what of the service has to do with the item, and
    what was done about it.
    """

    id: str
    item_id: str
    status: TakedownState
    in_catalogue: bool
    client_reference: str | None
    taken_down_at: datetime
    erased_at: datetime | None
    events_erased: int
    run: str | None
    version: str | None
    parts: list[Part]

    @classmethod
    def of(cls, row: ItemTakedown, links: Links, *, in_catalogue: bool, retriever: bool) -> TakedownView:
        return cls(
            id=row.id,
            item_id=row.item_id,
            status=row.state,
            in_catalogue=in_catalogue,
            client_reference=row.client_reference,
            taken_down_at=row.taken_down_at,
            erased_at=row.erased_at,
            events_erased=row.erased_events,
            run=None if row.run_id is None else links.run(row.run_id),
            version=row.version_digest,
            parts=of_takedown(row, retriever=retriever),
        )


class TakedownPage(BaseModel):
    """Some takedowns, the newest first. ``next_cursor`` is null on the last page."""

    takedowns: list[TakedownView]
    next_cursor: str | None = Field(description="for the parameter `cursor` of the next call")
