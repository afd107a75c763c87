"""The parts of a service that may know a user, and what forgetting does to each: done for these, and not for those."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel

State = Literal["edited", "re-fitted", "exact", "attested", "not covered"]


class Part(BaseModel):
    """One part.

    ``state``: ``edited`` (attenuated, measured, mitigation), ``re-fitted`` (made again without the subjects), ``exact``
    (freed of them to the last bit), ``attested`` (somebody has said that it does not know them), ``not covered``.
    """

    name: str
    state: State
    detail: str


def parts_of(*, exact: bool | None, base_readers: int, retriever: bool) -> list[Part]:
    """The parts behind a version's answers.

    Args:
        exact: whether the version's adapter was fitted without the subjects, and not edited; None if no version was
            made for them, because none that serves had read them.
        base_readers: how many people are on record as read by the base.
        retriever: whether the built-in retriever finds the candidates.
    """
    adapter = Part(name="adapter", state="exact", detail="none that serves had read them")
    if exact is not None:
        adapter = Part(
            name="adapter",
            state="re-fitted" if exact else "edited",
            detail="fitted without them" if exact else "attenuated until the gate's measures passed",
        )
    base = Part(
        name="base",
        state="not covered" if base_readers else "attested",
        detail=f"{base_readers} people are on record as read by it; no edit of an adapter reaches that"
        if base_readers
        else "nobody is on record as read by it (lethe init --base-readers)",
    )
    found = [adapter, base]
    if retriever:
        found.append(
            Part(
                name="retriever",
                state="exact",
                detail="integer co-visit counts, from which suppressed people are subtracted",
            )
        )
    return [
        *found,
        Part(name="popularity list", state="exact", detail="counted again without suppressed people"),
        Part(name="answers", state="exact", detail="cached answers are dropped at the suppression"),
        Part(
            name="elsewhere",
            state="not covered",
            detail="retrievers, profiles, caches and backups outside Lethe, and answers given before",
        ),
    ]
