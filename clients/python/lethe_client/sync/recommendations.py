"""Calls of the application that shows recommendations."""

from __future__ import annotations

from collections.abc import Iterable

from lethe_client.exchange import Call
from lethe_client.models import IngestResult, Interaction, Recommendation
from lethe_client.recommending import RecommendFor, RecommendResults
from lethe_client.sync.connection import Connection


class Recommendations(Connection):
    """Recommendations, and the events that they are made from."""

    def recommend(
        self, user_id: str, *, k: int | None = None, candidates: Iterable[str] = ()
    ) -> Recommendation:
        """The items that a user is most likely to want next.

        >>> recommended = client.recommend("user-7", k=3)
        >>> len(recommended.items), recommended.personalised
        (3, True)
        """
        parameters = {"user_id": user_id, "k": k, "candidate": list(candidates)}
        return self._ask(Call("GET", "/recommend", parameters), Recommendation)

    def recommend_many(self, users: Iterable[RecommendFor]) -> RecommendResults:
        """Recommendations for up to 100 users, each with a result of its own, in their order.

        >>> from lethe_client.recommending import RecommendFor
        >>> users = [RecommendFor(user_id="user-7"), RecommendFor(user_id="user-8", k=2)]
        >>> [result.problem for result in client.recommend_many(users).results]
        [None, None]
        """
        body = {"users": [one.model_dump(exclude_none=True) for one in users]}
        return self._ask(Call("POST", "/recommend", body=body), RecommendResults)

    def store_interactions(
        self, interactions: Iterable[Interaction], *, idempotency_key: str | None = None
    ) -> IngestResult:
        """Store events, at most 10 000 in one call. What is stored already counts as a duplicate.

        >>> from lethe_client.models import Interaction
        >>> client.store_interactions([Interaction(user_id="user-8", item_id="i3", timestamp=1790000000)]).stored
        1
        """
        body = {"interactions": [one.model_dump(exclude_none=True) for one in interactions]}
        return self._ask(
            Call("POST", "/interactions", body=body, idempotency_key=idempotency_key), IngestResult
        )
