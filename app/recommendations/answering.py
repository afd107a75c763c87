"""What is the answer for one user? The steps that both ways to ask have in common."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from http import HTTPStatus

from anyio.to_thread import run_sync

from app.db.errors import DatabaseUnavailable
from app.errors import Problem
from app.gateway import Gateway
from app.recommendations.history_cache import History
from app.serving import Recommendation, ServingOverloaded


def require_k(gateway: Gateway, k: int) -> None:
    """
    Raises:
        Problem: 422, one answer cannot have so many items.
    """
    limit = gateway.most_recommendations
    if k > limit:
        raise Problem(
            HTTPStatus.UNPROCESSABLE_ENTITY,
            "validation-failed",
            f"k must be between 1 and {limit}.",
            maximum=limit,
        )


def candidates_of(gateway: Gateway, named: Sequence[str]) -> list[int]:
    """Indices of the candidates that a caller names. Items that the catalogue lacks are left out, as in an import, and
    items that were taken down.

    Raises:
        Problem: 422, there are too many.
    """
    most = gateway.engine.most_candidates or gateway.most_recommendations
    taken = gateway.engine.taken_down
    # Keep the caller's order, because the prompt shows the candidates in it.
    found = list(
        dict.fromkeys(
            index
            for item in named
            if (index := gateway.catalogue.index(item)) is not None and index not in taken
        )
    )
    if len(found) > most:
        raise Problem(
            HTTPStatus.UNPROCESSABLE_ENTITY, "validation-failed", f"At most {most} candidates.", maximum=most
        )
    return found


async def answer_for(
    gateway: Gateway, subject: str, k: int, candidates: list[int] | None = None
) -> Recommendation:
    """The answer from the subject's stored history. Give it to nobody without `CheckedLast`.

    Raises:
        Problem: 503, the model has too much to do.
        InferenceFailed: the model failed on this batch.
    """
    engine = gateway.engine
    if engine.reason_to_fall_back(subject) is not None:
        return await engine.recommend_soon(subject, (), k)
    try:
        history = await gateway.histories.read(subject)
    except DatabaseUnavailable:
        # The lease on the feed has not lapsed, so the user may be personalised, but there is no history.
        return engine.fall_back(k, "no_history")
    return await personalise(gateway, subject, history, k, candidates)


async def personalise(
    gateway: Gateway, subject: str, history: History, k: int, candidates: list[int] | None = None
) -> Recommendation:
    """The answer from this history, with candidates of the retriever where some are needed and none are named.

    Raises:
        Problem: 503, the model has too much to do.
        InferenceFailed: the model failed on this batch.
    """
    retriever = None
    if candidates is None and history.events and gateway.retriever is not None:
        # In a thread: a retriever that is being brought up to date makes others wait.
        found = await run_sync(
            gateway.retriever.candidates, history.items, gateway.engine.most_candidates or 0
        )
        candidates, retriever = list(found.items), found.retriever
    if candidates == [] and history.events:
        return gateway.engine.fall_back(k, "no_candidates")
    try:
        answer = await gateway.engine.recommend_soon(subject, history.events, k, candidates=candidates)
        return replace(answer, retriever=retriever) if answer.personalised else answer
    except ServingOverloaded as error:
        raise Problem(
            HTTPStatus.SERVICE_UNAVAILABLE,
            "overloaded",
            "Too many requests wait for the model; try again shortly.",
            headers={"Retry-After": str(error.retry_after_seconds)},
        ) from error
