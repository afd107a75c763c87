"""The parts of a service that may know a user, and what forgetting does about each of them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from pydantic import BaseModel
from sqlalchemy.orm import Session

from app.db.models import ForgetRequest, Version
from app.readers import queries as readers
from app.versions import queries as versions

State = Literal["edited", "re-fitted", "exact", "attested", "not covered"]


class Part(BaseModel):
    """One part.

    ``state``: ``edited`` (attenuated and measured: mitigation), ``re-fitted`` (made again without the subjects),
    ``exact`` (freed of the subjects to the last bit), ``attested`` (an operator has stated that it does not know them),
    ``not covered`` (nothing that Lethe does reaches it).
    """

    name: str
    state: State
    detail: str


@dataclass(frozen=True)
class Surroundings:
    """The parts beside the adapter: the base, by its digest, and whether the built-in retriever is used."""

    base_digest: str
    retriever: bool


def of_version(session: Session, version: Version | None, around: Surroundings) -> list[Part]:
    """The parts behind a version's answers. ``version`` is None for a service that only gives the fallback."""
    if version is None:
        adapter = Part(name="adapter", state="exact", detail="none serves")
    elif version.run_id is None:
        adapter = Part(
            name="adapter",
            state="not covered",
            detail=f"a first version: whoever asked after epoch {version.forget_epoch} may be in it",
        )
    else:
        adapter = _made_by_a_run(version)
    return [adapter, *_others(session, around)]


def of_request(session: Session, request: ForgetRequest, around: Surroundings) -> list[Part]:
    """What was done for one person in each part. For the adapter, it follows from the request's outcome."""
    made = None if request.run_id is None else versions.of_run(session, request.run_id)
    serving = versions.current(session)
    live = None if serving.digest is None else session.get(Version, serving.digest)
    if request.outcome == "no_data":
        adapter = Part(name="adapter", state="exact", detail="nothing that exists had read them")
    elif request.readmitted_at is not None and made is not None:
        # What serves now may have read them again, with their consent.
        adapter = _made_by_a_run(made)
    elif live is not None and live.exact and live.run_id is not None and live.forget_epoch >= request.epoch:
        adapter = Part(
            name="adapter", state="re-fitted", detail="the version that serves was fitted without them"
        )
    elif made is None:
        adapter = Part(
            name="adapter",
            state="exact",
            detail="every version that had read them is destroyed, and none took its place",
        )
    else:
        adapter = _made_by_a_run(made)
    return [adapter, *_others(session, around)]


def _made_by_a_run(version: Version) -> Part:
    if version.exact:
        return Part(name="adapter", state="re-fitted", detail="fitted without whoever had asked by then")
    return Part(
        name="adapter",
        state="edited",
        detail="attenuated until the gate's measures passed, for whoever it had read",
    )


def _others(session: Session, around: Surroundings) -> list[Part]:
    found = [_base(session, around.base_digest)]
    if around.retriever:
        found.append(
            Part(
                name="retriever",
                state="exact",
                detail="integer counts, from which each gateway subtracts suppressed people within seconds",
            )
        )
    return [
        *found,
        Part(
            name="popularity list",
            state="exact",
            detail="counted again without suppressed people about every minute",
        ),
        Part(name="answers", state="exact", detail="cached answers are dropped at the suppression"),
        Part(
            name="elsewhere",
            state="not covered",
            detail="retrievers, profiles, caches and backups outside Lethe, and answers given before",
        ),
    ]


def _base(session: Session, digest: str) -> Part:
    read = readers.count_base_readers(session, digest)
    if read:
        detail = f"{read} people are on record as read by it; no edit of an adapter reaches that"
        return Part(name="base", state="not covered", detail=detail)
    if readers.is_stated(session, digest):
        return Part(name="base", state="attested", detail="stated: it has read nobody of the service")
    return Part(
        name="base",
        state="not covered",
        detail="nobody has said whom it has read (lethe init --base-readers)",
    )
