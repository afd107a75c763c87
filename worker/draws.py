"""Draws an exact fit again with another seed if the gate refused it only because it serves the retained users worse.

Such a refusal is bad luck and needs no person. Every draw is an attempt on record, with its seed in its configuration
(`seed_offset`, added to the epoch that the claim covers). Draws are counted from the record, so the count survives a
killed worker and a run that the worker's limit cut off.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from datetime import timedelta
from typing import Any

from sqlalchemy.orm import Session

from app.attempts import queries as attempts
from app.db.models import Attempt
from app.runs.service import Claim
from unlearning import Method
from unlearning.gate.utility import UTILITY_MEASURES
from worker import remaining_time
from worker.lease import Lease
from worker.process import WorkerProcess

_SEED = "seed_offset"
# Far beyond any epoch, so that no later claim uses a seed of this one.
_APART = 1_000_000_000


class NoTimeToDraw(Exception):
    """Another draw would not end within the worker's limit: the next claim of this run makes it.

    Attributes:
        rung_index: the rung at which the next claim starts; None if the run has no ladder.
    """

    def __init__(self, rung_index: int | None) -> None:
        super().__init__("no time for another draw within the worker's limit")
        self.rung_index = rung_index


def can_be_drawn_again(method: Method) -> bool:
    """Whether the method is exact and its configuration has a seed to change."""
    return method.card.exact and hasattr(method.config, _SEED)


def drawn(config: Mapping[str, Any], draw: int) -> dict[str, Any]:
    """The configuration of draw number `draw`, counted from 0."""
    return {**config, _SEED: int(config.get(_SEED, 0)) + draw * _APART} if draw else dict(config)


def is_in_vain(attempt: Attempt) -> bool:
    """Whether the attempt was refused because it serves the retained users worse."""
    return not attempt.accepted and any(
        reason["measure"] in UTILITY_MEASURES and reason["passed"] is False
        for reason in attempt.verdict.get("reasons", ())
    )


def of_claim(process: WorkerProcess, claim: Claim) -> dict[int, int]:
    """How many draws of this claim were in vain, by rung index. Their seeds are used up."""
    with process.database.read() as session:
        own = [one for one in attempts.of_run(session, claim.run_id) if one.fence == claim.fence]
        return dict(Counter(index for index, _ in {(one.step, _seed(one)) for one in own if is_in_vain(one)}))


def in_vain(session: Session, method: str, *, run_id: str, requests: Collection[str]) -> int:
    """How many draws of this method were in vain.

    Counted over all runs, for the request with the fewest such draws; over this run alone if it has no requests.
    """
    if not requests:
        return _count(attempts.of_run(session, run_id), method)
    return min(_count(attempts.of_request(session, request), method) for request in requests)


def _count(tried: Iterable[Attempt], method: str) -> int:
    # One draw may be judged for several groups.
    return len(
        {(one.fence, one.step, _seed(one)) for one in tried if one.method == method and is_in_vain(one)}
    )


def _seed(attempt: Attempt) -> int:
    return int(attempt.config.get(_SEED, 0))


def told(made: int) -> str:
    """A sentence that says how many draws were in vain."""
    if made == 1:
        return "one exact fit was drawn, and it serves the others worse than the live version"
    return f"{made} exact fits were drawn with different seeds, and all serve the others worse than the live version"


def require_time(session: Session, lease: Lease, method: str, *, rung_index: int | None) -> None:
    """Refuse a draw that would not end within the worker's limit.

    The requests' deadline does not count here: no other rung is left that could meet it.

    Raises:
        NoTimeToDraw: beyond the worker's limit the run would start over from its first rung.
    """
    left = timedelta(seconds=lease.cut_off_at - time.monotonic())
    if not remaining_time.suffices(left, rung=None, exact=attempts.slowest(session, method)):
        raise NoTimeToDraw(rung_index)
