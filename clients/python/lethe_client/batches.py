"""What calls about batches send and answer with."""

from __future__ import annotations

from datetime import datetime

from pydantic import AwareDatetime, BaseModel, ConfigDict

from lethe_client.models import Model, Reason, Regime


class Selection(BaseModel):
    """Some of a user's events: those that meet every criterion given. Times are as in `Interaction`.

    ``after`` is the earliest time, ``before`` the first that is too late.
    """

    model_config = ConfigDict(frozen=True)

    items: tuple[str, ...] | None = None
    after: int | float | None = None
    before: int | float | None = None


class ForgetItem(BaseModel):
    """One user to forget, with the arguments of `forget`."""

    model_config = ConfigDict(frozen=True)

    user_id: str
    reason: Reason | None = None
    client_reference: str | None = None
    interactions: Selection | None = None
    regime: Regime | None = None
    zone: str | None = None
    requested_at: AwareDatetime | None = None


class ItemError(Model):
    """Why an item is invalid."""

    pointer: str
    code: str
    message: str


class BatchItem(Model):
    """What became of one item: ``result`` is `accepted`, `existing` or `invalid`."""

    position: int
    result: str
    request: str | None
    status: str | None
    errors: list[ItemError]


class Batch(Model):
    """A batch, counted when it was read. ``done``: every request of it is over."""

    id: str
    received_at: datetime
    size: int
    results: dict[str, int]
    statuses: dict[str, int]
    done: bool


class BatchDetail(Batch):
    """A batch with its items, in the order in which they were sent."""

    items: list[BatchItem]


class BatchItems(Model):
    """The items of a batch, with the state of each request now."""

    items: list[BatchItem]


class TrialItem(Model):
    """What would become of one item: ``result`` is `new`, `existing` or `invalid`."""

    position: int
    result: str
    errors: list[ItemError]


class Trial(Model):
    """What a batch would do. Nothing is stored."""

    results: dict[str, int]
    items: list[TrialItem]
