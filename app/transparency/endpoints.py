"""GET /audit/…: the log's signed checkpoint, its entries, and proofs about both."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from http import HTTPStatus
from typing import Annotated, TypeVar

from fastapi import APIRouter, Depends, Query
from fastapi.responses import PlainTextResponse
from sqlalchemy import select
from sqlalchemy.orm import Session

from app.api_keys.authentication import Caller, require
from app.api_keys.service import Scope
from app.audit import merkle, tree
from app.db.models import AuditEntry
from app.dependencies import GatewayDependency
from app.errors import Problem
from app.gateway import Gateway
from app.json_bodies import JsonRoute
from app.problem_schema import problems
from app.transparency.problems import log_contradicted
from app.transparency.schemas import ConsistencyProofView, EntriesView, EntryView, InclusionProofView

router = APIRouter(prefix="/audit", tags=["evidence"], route_class=JsonRoute)

MayRead = Annotated[Caller, Depends(require(Scope.AUDIT_READ))]
Size = Annotated[int, Query(ge=0, le=2**53)]
# A list of proofs is as long as there are digits in the size.
_MOST_ENTRIES = 1000
Found = TypeVar("Found")


@router.get("/checkpoint", response_class=PlainTextResponse, responses=problems(409))
async def read_checkpoint(gateway: GatewayDependency, _caller: MayRead) -> PlainTextResponse:
    """The present size and root of the log, as a signed note (C2SP tlog-checkpoint).

    Whoever keeps an earlier checkpoint can ask for the proof that this one continues it.
    """
    size, root = await _read(gateway, lambda session, size: (size, tree.root(session, size)))
    return PlainTextResponse(gateway.signer.note(size, root))


@router.get("/entries", responses=problems(409))
async def read_entries(
    gateway: GatewayDependency,
    _caller: MayRead,
    after: Annotated[Size, Query(description="the number of the last entry that you have")] = 0,
    limit: Annotated[int, Query(ge=1, le=_MOST_ENTRIES)] = 100,
) -> EntriesView:
    """Entries of the log in order. They hold digests, codes, numbers and times, and no user id."""
    return await _read(gateway, partial(_entries, after=after, limit=limit))


@router.get("/proof/inclusion", responses=problems(404, 409))
async def prove_inclusion(
    gateway: GatewayDependency,
    _caller: MayRead,
    entry: Annotated[int, Query(ge=1, le=2**53, description="the entry's number, from 1")],
    size: Annotated[Size | None, Query(description="of the tree; the present size otherwise")] = None,
) -> InclusionProofView:
    """Prove that an entry is in the log."""
    return await _read(gateway, partial(_inclusion, entry=entry, of=size))


@router.get("/proof/consistency", responses=problems(404, 409))
async def prove_consistency(
    gateway: GatewayDependency,
    _caller: MayRead,
    first: Annotated[Size, Query(description="the size in the earlier checkpoint")],
    second: Annotated[
        Size | None, Query(description="the size in the later one; the present size otherwise")
    ] = None,
) -> ConsistencyProofView:
    """Prove that the log has only grown between two checkpoints: nothing before was changed or removed."""
    return await _read(gateway, partial(_consistency, first=first, second=second))


async def _read(gateway: Gateway, read: Callable[[Session, int], Found]) -> Found:
    """Let the tree hold all entries, and read from it. `read` gets the size of the tree."""

    def work() -> Found:
        size = tree.grow(gateway.database)
        with gateway.database.read() as session:
            return read(session, size)

    try:
        return await gateway.write(work)
    except tree.TreeDamaged as error:
        raise log_contradicted() from error


def _entries(session: Session, size: int, *, after: int, limit: int) -> EntriesView:
    some = session.scalars(
        select(AuditEntry)
        .where(AuditEntry.sequence > after, AuditEntry.sequence <= size)
        .order_by(AuditEntry.sequence)
        .limit(limit)
    ).all()
    return EntriesView(size=size, entries=[_entry(entry) for entry in some])


def _entry(entry: AuditEntry) -> EntryView:
    leaf = tree.text_of(entry)
    return EntryView(sequence=entry.sequence, leaf=leaf, leaf_hash=merkle.leaf_hash(leaf.encode()).hex())


def _inclusion(session: Session, size: int, *, entry: int, of: int | None) -> InclusionProofView:
    of = size if of is None else of
    if not entry <= of <= size:
        raise _beyond(size)
    return InclusionProofView(
        entry=entry,
        index=entry - 1,
        size=of,
        leaf_hash=tree.leaf_hash(session, entry).hex(),
        root=tree.root(session, of).hex(),
        proof=[each.hex() for each in tree.inclusion(session, entry, of)],
    )


def _consistency(session: Session, size: int, *, first: int, second: int | None) -> ConsistencyProofView:
    second = size if second is None else second
    if not first <= second <= size:
        raise _beyond(size)
    return ConsistencyProofView(
        first=first,
        second=second,
        first_root=tree.root(session, first).hex(),
        second_root=tree.root(session, second).hex(),
        proof=[each.hex() for each in tree.consistency(session, first, second)],
    )


def _beyond(size: int) -> Problem:
    return Problem(
        HTTPStatus.NOT_FOUND,
        "beyond-the-log",
        "The log does not have so many entries, or the first size is above the second.",
        size=size,
    )
