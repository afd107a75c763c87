"""What is asked and answered about many users at once."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict

from lethe_client.models import Model, Recommendation


class Refusal(Model):
    """Why a user of many has no recommendation. ``retry_after_seconds`` is set if the service was too busy."""

    code: str
    detail: str
    retry_after_seconds: int | None


class RecommendResult(Model):
    """The result for one user of many: either is None."""

    recommendation: Recommendation | None
    problem: Refusal | None


class RecommendResults(Model):
    """The results for many users, in the order in which they were asked for."""

    results: list[RecommendResult]


class OwnEvent(BaseModel):
    """One event of a history that the caller keeps. Without a timestamp it does not count for a user who has had
    anything forgotten.
    """

    model_config = ConfigDict(frozen=True)

    item_id: str
    timestamp: int | None = None
    rating: float | None = None


class RecommendFor(BaseModel):
    """One user of many. ``history``: events of the caller's own, oldest first, in place of the stored ones; they are
    not stored.
    """

    model_config = ConfigDict(frozen=True)

    user_id: str
    k: int = 10
    history: list[OwnEvent] | None = None
    candidates: list[str] | None = None
