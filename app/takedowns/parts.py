"""The parts of a service that know an item, and what its takedown does about each of them."""

from __future__ import annotations

from app.db.models import ItemTakedown
from app.versions.parts import Part


def of_takedown(row: ItemTakedown, *, retriever: bool) -> list[Part]:
    """What was done in each part. ``retriever``: whether the built-in one is used."""
    return [
        Part(name="answers", state="exact", detail="none names the item, whatever computes it"),
        _adapter(row),
        *([] if row.erased_at is None else [_EVENTS]),
        *([_RETRIEVER] if retriever else []),
        Part(
            name="popularity list",
            state="exact",
            detail="counted again without its events about every minute",
        ),
        Part(
            name="base",
            state="not covered",
            detail="its token or its title stays, with what the base has learnt of it",
        ),
        Part(
            name="catalogue", state="not covered", detail="the row stays: numbers of older versions need it"
        ),
        Part(
            name="elsewhere",
            state="not covered",
            detail="retrievers, caches and backups outside Lethe, and answers given before",
        ),
    ]


_EVENTS = Part(name="events", state="exact", detail="deleted, and new ones are dropped")
_RETRIEVER = Part(name="retriever", state="exact", detail="counted again without its events within seconds")


def _adapter(row: ItemTakedown) -> Part:
    if row.erased_at is None:
        detail = "a version that exists may have read its events; the next consolidation fits without them"
        return Part(name="adapter", state="not covered", detail=detail)
    if row.version_digest is None:
        detail = "every version that may have read its events is destroyed, and none serves"
        return Part(name="adapter", state="exact", detail=detail)
    return Part(
        name="adapter",
        state="re-fitted",
        detail="fitted without its events, and every version that may have read them is destroyed",
    )
