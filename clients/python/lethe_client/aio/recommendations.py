# Derived from lethe_client/sync/ by `python -m docs.generate`: edit the file of this name there.
"""Calls of the application that shows recommendations."""

from __future__ import annotations

from collections.abc import Iterable

from lethe_client.exchange import Call
from lethe_client.models import IngestResult, Interaction, Recommendation
from lethe_client.recommending import RecommendFor, RecommendResults
from lethe_client.aio.connection import Connection


class Recommendations(Connection):
    """Recommendations, and the events that they are made from."""

    async def recommend(
        self, user_id: str, *, k: int | None = None, candidates: Iterable[str] = ()
    ) -> Recommendation:
        """The items that a user is most likely to want next."""
        parameters = {"user_id": user_id, "k": k, "candidate": list(candidates)}
        return await self._ask(Call("GET", "/recommend", parameters), Recommendation)

    async def recommend_many(self, users: Iterable[RecommendFor]) -> RecommendResults:
        """Recommendations for up to 100 users, each with a result of its own, in their order."""
        body = {"users": [one.model_dump(exclude_none=True) for one in users]}
        return await self._ask(Call("POST", "/recommend", body=body), RecommendResults)

    async def store_interactions(
        self, interactions: Iterable[Interaction], *, idempotency_key: str | None = None
    ) -> IngestResult:
        """Store events, at most 10 000 in one call. What is stored already counts as a duplicate."""
        body = {"interactions": [one.model_dump(exclude_none=True) for one in interactions]}
        return await self._ask(
            Call("POST", "/interactions", body=body, idempotency_key=idempotency_key), IngestResult
        )
