"""When a request will be completed, from what earlier runs took."""

from __future__ import annotations

import math
from collections.abc import Sequence
from datetime import datetime, timedelta


def p95(durations: Sequence[timedelta]) -> timedelta | None:
    """The nearest-rank 95th percentile: the shortest duration that 95 % do not exceed. None without any."""
    if not durations:
        return None
    return sorted(durations)[math.ceil(95 * len(durations) / 100) - 1]


def predicted_completion(
    now: datetime,
    durations: Sequence[timedelta],
    *,
    requests_ahead: int | None,
    requests_per_run: int,
    running_since: datetime | None = None,
) -> datetime | None:
    """The instant by which a request is completed if every run takes as long as the 95th percentile of earlier ones.

    Runs follow one another, each takes ``requests_per_run`` requests, and the request is in the last of them.

    Args:
        now: the present instant.
        durations: what finished runs took, from claim to completion.
        requests_ahead: the queued requests with an earlier deadline; None if this one's run is running.
        requests_per_run: the most that one run takes, at least 1.
        running_since: the start of the run that is running, if one is.

    Returns:
        The instant; None if no run has finished yet. A running run that takes longer than the percentile is expected to
        end now.
    """
    each = p95(durations)
    if each is None:
        return None
    rest = timedelta() if running_since is None else max(timedelta(), running_since + each - now)
    queued_runs = 0 if requests_ahead is None else requests_ahead // requests_per_run + 1
    return now + rest + queued_runs * each
