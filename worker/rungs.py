"""The policy's rungs for one claim: which of them can help, and for which there is time."""

from __future__ import annotations

import time
from dataclasses import dataclass
from datetime import timedelta

import structlog

from app.attempts import queries as attempts
from app.attempts import service as attempt_records
from app.attempts.reasons import SkipReason
from app.db.models import SkippedRung
from app.runs.service import Claim
from unlearning import Method, Rung, build_method, needs_levels, why_not, why_skip
from worker import draws, remaining_time
from worker.attempts import Attempts, Chosen
from worker.lease import Lease
from worker.process import WorkerProcess
from worker.splitting import Judged
from worker.track_record import rung_digest, track_record
from worker.versions import LoadedVersion

log = structlog.get_logger()

_NO_LEVELS = (
    "it needs each subject's level under a model that never saw them, and for this run there are none"
)
_SHORT = (
    "the policy lets the gate decide about none of these histories, which are too short: what was made by an edit "
    "could not be let through"
)


@dataclass(frozen=True)
class _Useless:
    code: SkipReason
    detail: str


class PolicyRungs:
    """The policy's ladder for one claim. It skips rungs for lack of time or because of the record of earlier runs."""

    def __init__(
        self,
        process: WorkerProcess,
        claim: Claim,
        parent: LoadedVersion,
        tried: Attempts,
        lease: Lease,
        *,
        levels_are_known: bool,
        end: float,
    ) -> None:
        """
        Args:
            end: reading of `time.monotonic` by which the exact rung must have ended.
        """
        self._process, self._claim, self._parent, self._tried = process, claim, parent, tried
        self._lease, self._levels_are_known, self._end = lease, levels_are_known, end
        self._ladder = process.policy.ladder

    def __len__(self) -> int:
        return len(self._ladder)

    def attempt(self, requests: tuple[str, ...], rung_index: int) -> Judged[Chosen]:
        return self._tried.attempt(requests, rung_index)

    def in_time(self, rung_index: int) -> bool:
        exact = self._exact_from(rung_index)
        if exact is None or exact == rung_index:
            return True
        with self._process.database.read() as session:
            durations = [
                attempts.slowest(session, self._ladder[index].method) for index in (rung_index, exact)
            ]
        return remaining_time.suffices(left_until(self._end), rung=durations[0], exact=durations[1])

    def draws_again(self, requests: tuple[str, ...], rung_index: int) -> bool:
        """
        Raises:
            NoTimeToDraw: another draw is allowed, but would not end within the worker's limit.
        """
        method = self._method(rung_index)
        if not draws.can_be_drawn_again(method):
            return False
        with self._process.database.read() as session:
            made = draws.in_vain(session, method.name, run_id=self._claim.run_id, requests=requests)
            if made >= self._process.policy.exact_draws:
                return False
            draws.require_time(session, self._lease, method.name, rung_index=rung_index)
        log.warning("attempt.drawn_again", step=rung_index, method=method.name, draws=made)
        self._tried.draw_again(rung_index)
        return True

    def settle_on(self, rung_index: int, requests: tuple[str, ...]) -> int:
        left_out = []
        while rung_index + 1 < len(self):
            useless = self._useless(rung_index, requests) or self._too_late(rung_index)
            if useless is None:
                break
            left_out.append(self._skipped(rung_index, requests, useless))
            rung_index += 1
        if left_out:
            log.warning("ladder.rungs_skipped", steps=[one.step for one in left_out], up_to=rung_index)
            with self._process.transaction() as transaction:
                now = transaction.now()
                for one in left_out:
                    one.skipped_at = now
                attempt_records.record_skipped(transaction, self._claim, left_out, up_to=rung_index)
        return rung_index

    def _useless(self, rung_index: int, requests: tuple[str, ...]) -> _Useless | None:
        """Why this rung cannot help these requests, or None. The caller does not ask about the last rung."""
        rung, method = self._ladder[rung_index], self._method(rung_index)
        unfit = why_not(method, self._process.base, self._parent.adapter)
        if unfit is not None:
            return _Useless(SkipReason.UNFIT_ADAPTER, unfit)
        if rung.always or method.card.exact:
            return None
        if not self._tried.can_be_decided(requests):
            return _Useless(SkipReason.SHORT_HISTORY, _SHORT)
        if needs_levels(method) and not self._levels_are_known:
            return _Useless(SkipReason.NO_LEVELS, _NO_LEVELS)
        rules = self._process.policy.skipping
        if rules is None:
            return None
        with self._process.database.read() as session:
            record = track_record(session, self._digest(rung), watermark=self._parent.fit.watermark)
        why = None if record is None else why_skip(record, rules)
        return None if why is None else _Useless(SkipReason.BY_RECORD, why)

    def _too_late(self, rung_index: int) -> _Useless | None:
        """The reason to skip this rung if the exact rung after it would end too late. A quicker rung may still fit."""
        if self.in_time(rung_index):
            return None
        exact = self._exact_from(rung_index)
        assert exact is not None  # otherwise `in_time` is true
        return _Useless(SkipReason.NO_TIME, f"{self._ladder[exact].method} would come too late after it")

    def _skipped(self, rung_index: int, requests: tuple[str, ...], why: _Useless) -> SkippedRung:
        rung = self._ladder[rung_index]
        return SkippedRung(
            run_id=self._claim.run_id,
            fence=self._claim.fence,
            step=rung_index,
            requests=list(requests),
            method=rung.method,
            config=dict(rung.config),
            rung_digest=self._digest(rung),
            code=why.code,
            detail=why.detail[:500],
        )

    def _method(self, rung_index: int) -> Method:
        return build_method(self._ladder[rung_index].method, self._ladder[rung_index].config)

    def _digest(self, rung: Rung) -> str:
        return rung_digest(
            self._process.policy,
            rung,
            self._process.base,
            self._parent.fit,
            levels_are_known=self._levels_are_known,
        )

    def _exact_from(self, rung_index: int) -> int | None:
        """The index of the first exact rung at or after this one."""
        return next((index for index in range(rung_index, len(self)) if self._method(index).card.exact), None)


def left_until(end: float) -> timedelta:
    """The time that is left until this reading of `time.monotonic`."""
    return timedelta(seconds=end - time.monotonic())
