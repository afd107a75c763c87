"""One run from claim to completion. If a run is killed at any point, it is claimed again and still ends exactly once.

    claim ── ladder ── publish ══ point of no return ══ acknowledge ── erase ── destroy ── complete

Before the point of no return a reclaimed run starts again under a new epoch; after it, it goes on where it was.
Requests that the version does not serve leave the run in the transaction that publishes it (`worker.splitting`).
"""

from __future__ import annotations

import json
from contextlib import suppress
from datetime import timedelta
from functools import partial

import structlog

from app.codes import DetailCode
from app.db.clock import database_now
from app.db.errors import DatabaseUnavailable, FenceLost, PointerMoved
from app.db.models import RunKind, RunStage
from app.forget_requests import queries as request_queries
from app.forget_requests import service as forget_requests
from app.restoration.queries import timeline_stands
from app.runs import service as runs
from app.runs.queries import next_queued_run
from app.runs.service import Claim
from app.runs.splitting import LADDER_EXHAUSTED, NOBODY, SplitOut, split_out
from app.runs.states import is_past_return
from app.selections import queries as selections
from app.versions import service as pointer
from model_store import JournalConflict, StoreError
from recommender import Interrupted, RecommenderError
from unlearning import UnlearningError
from worker.anchoring import anchor, anchor_log
from worker.attempts import Chosen
from worker.completion import complete
from worker.consolidation import consolidate
from worker.draws import NoTimeToDraw
from worker.event_erasure import forget_events
from worker.examples import Examples, read_examples
from worker.ladder import LadderExhausted, climb
from worker.lease import Lease
from worker.live_base import on_catalogue_of, require_base_of
from worker.process import WorkerProcess
from worker.publication import CandidateRefused, publish_candidate, wait_for_acknowledgement
from worker.refitting import RefitRefused, refit_without
from worker.stopping import ignore_what_is_told_again
from worker.subjects import SortedSubjects, sort_subjects
from worker.surroundings import SURROUNDINGS, code_of, hand_back, return_claims, say_unclaimed, wait_out
from worker.sweeping import sweep_store
from worker.training_data import MINIMUM_RETAINED
from worker.versions import LoadedVersion, load_version
from worker.withdrawal import withdraw

log = structlog.get_logger()


_MAX_REBASES = 3
# The `detail_code` of a run of each kind whose exact re-fit is refused.
_EXACT_RUN_REFUSED = {
    RunKind.CONSOLIDATION: DetailCode.CONSOLIDATION_REFUSED,
    RunKind.FORGET: DetailCode.REFIT_REFUSED,
    RunKind.SELECTION: DetailCode.REFIT_REFUSED,
}


def execute(process: WorkerProcess, run_id: str) -> str | None:
    """Work on a run if it can be claimed; the id of a run to dispatch next, if one waits.

    Every error of the run itself is recorded on the run. The message is acknowledged either way.
    """
    try:
        return_claims(process)
        return _execute(process, run_id)
    except DatabaseUnavailable:
        # Nothing can be recorded now; the sweeper dispatches again once the database is back.
        log.error("run.database_unavailable")
        return None


def _execute(process: WorkerProcess, run_id: str) -> str | None:
    try:
        if not timeline_stands(process.database, process.store):
            process.join_timeline()
    except StoreError as error:
        say_unclaimed(process, run_id, error)
        return None
    claim = _claim(process, run_id)
    if claim is None:
        log.info("run.nothing_to_do")
        return None
    log.info(
        "run.claimed", kind=claim.kind, fence=claim.fence, stage=claim.stage, subjects=len(claim.subjects)
    )
    try:
        return _work_on(process, claim)
    except DatabaseUnavailable:
        process.unreturned.put(claim)
        raise


def _work_on(process: WorkerProcess, claim: Claim) -> str | None:
    try:
        with Lease(process.database, claim, process.settings) as lease:
            _work(process, claim, lease)
    except SystemExit:
        ignore_what_is_told_again()
        # This process was told to stop. Hand the run back, so that no worker has to wait until the lease lapses. The
        # heartbeat has ended by now.
        with suppress(DatabaseUnavailable):
            hand_back(process, claim)
        raise
    except JournalConflict:
        # The database was restored and nobody has noticed yet, so an epoch was given out twice.
        log.error("run.journal_conflict")
        try:
            process.join_timeline()
        except StoreError as error:
            wait_out(process, claim, error)
            return None
        hand_back(process, claim)
        return claim.run_id
    except NoTimeToDraw as error:
        hand_back(process, claim, first_step=error.rung_index)
        return claim.run_id
    anchor_log(process.database, process.audit, process.store)
    with process.database.unit_of_work() as session:
        runs.heal_queue(session, database_now(session))
        return next_queued_run(session, database_now(session))


def _claim(process: WorkerProcess, run_id: str) -> Claim | None:
    settings = process.settings
    with process.transaction() as transaction:
        return runs.claim(
            transaction,
            run_id,
            now=transaction.now(),
            lease=timedelta(seconds=settings.lease_seconds),
            max_claims=settings.max_claims,
            max_subjects=settings.max_subjects_per_run,
            policy=json.loads(process.policy.to_json()),
            policy_hash=process.policy.hash,
        )


def _work(process: WorkerProcess, claim: Claim, lease: Lease) -> None:
    try:
        if claim.kind == RunKind.CONSOLIDATION:
            _require_base_of_live_version(process, claim)
            consolidate(process, claim, lease)
        elif claim.kind == RunKind.SELECTION:
            _require_base_of_live_version(process, claim)
            _record_in_journal(process, claim)
            forget_events(process, claim, lease)
        else:
            _forget(process, claim, lease)
    except FenceLost:
        log.warning("run.taken_over", fence=claim.fence)
        if lease.missed_beats:
            process.unreturned.put(claim)
        sweep_store(process)
    except SURROUNDINGS as error:
        wait_out(process, claim, error)
    except LadderExhausted as error:
        _give_up(process, claim, LADDER_EXHAUSTED, str(error), split=error.split)
    except RefitRefused as error:
        _give_up(process, claim, _EXACT_RUN_REFUSED[claim.kind], str(error), split=error.split)
    except CandidateRefused as error:
        _give_up(process, claim, DetailCode.CANDIDATE_REFUSED, str(error))
    except (UnlearningError, RecommenderError) as error:
        # A retry cannot help: the same input would fail the same way.
        _give_up(process, claim, DetailCode.INVALID_INPUT, str(error))
    except (DatabaseUnavailable, JournalConflict, NoTimeToDraw):
        raise
    except Exception as error:  # noqa: BLE001  (a run ends on its record, whatever happened)
        _postpone(process, claim, error)


def _forget(process: WorkerProcess, claim: Claim, lease: Lease) -> None:
    for _ in range(_MAX_REBASES):
        _require_base_of_live_version(process, claim)
        subjects = sort_subjects(process, claim)
        try:
            if claim.stage == RunStage.LADDER:
                _record_in_journal(process, claim)
                if subjects.known:
                    claim = _replace_version(process, claim, subjects, lease)
            anchor(process.database, process.audit, process.store)
            taken = wait_for_acknowledgement(process, claim, lease)
            complete(process, claim, taken, unread=subjects.unread)
            return
        except PointerMoved:
            # Another version is live now. Overwriting it would bring back the subjects that it forgot, and what this
            # run found about its subjects describes the version before.
            log.warning("run.rebased")
            with process.database.unit_of_work() as session:
                claim = pointer.rebase(session, claim)
    raise PointerMoved


def _require_base_of_live_version(process: WorkerProcess, claim: Claim) -> None:
    """
    Raises:
        OtherBase: an edit on this process's base would put that base back. Not raised for a run that has published:
            it only has to end.
    """
    if claim.stage != RunStage.LADDER or claim.parent_digest is None:
        return
    require_base_of(process, claim.parent_digest)


def _replace_version(process: WorkerProcess, claim: Claim, subjects: SortedSubjects, lease: Lease) -> Claim:
    """Publish a version that has forgotten the subjects, or withdraw the live one if too few users are left.

    A subject cannot be measured if the live version has read more of them than is stored and shown, or if too few of
    their events are. Such subjects need a fit without them. Who they are is known once the events are read, and not
    before: an event may be selected or taken down at any time.
    """
    assert claim.parent_digest is not None  # without a parent, nobody is known
    parent = load_version(process.store, claim.parent_digest)
    process = on_catalogue_of(process, parent)
    read = partial(read_examples, process, parent.fit, covers_epoch=claim.covers_epoch)
    wholly = [subject for subject in subjects.known if subject not in subjects.partly_stored]
    examples = read(subjects=wholly, newest=False)
    measurable = examples.data.subjects
    unmeasured = frozenset(subjects.known).difference(measurable)
    if len(examples.data.retained) < MINIMUM_RETAINED:
        # Users who came after the last fit may be enough for another one.
        examples = read(subjects=tuple(measurable), newest=True)
        if len(examples.data.retained) < MINIMUM_RETAINED:
            return withdraw(process, claim, parent, lease)
        chosen = _leave_out(process, claim, parent, examples, unmeasured, lease)
    elif unmeasured:
        chosen = _leave_out(process, claim, parent, examples, unmeasured, lease)
    else:
        chosen = climb(process, claim, parent, examples.data, lease)
    fit = examples.exact_fit if chosen.report.exact else parent.fit
    return publish_candidate(process, claim, parent, chosen, fit, lease)


def _leave_out(
    process: WorkerProcess,
    claim: Claim,
    parent: LoadedVersion,
    examples: Examples,
    unmeasured: frozenset[str],
    lease: Lease,
) -> Chosen:
    """Re-fit without the run's subjects. ``unmeasured`` are those who cannot be measured.

    Raises:
        RefitRefused: the gate refused the re-fit. The subjects that can be measured leave the run for the ladder.
    """
    try:
        last = len(process.policy.ladder) - 1
        return refit_without(process, claim, parent, examples, lease, rung_index=last)
    except Interrupted:
        lease.check()
        raise
    except RefitRefused as error:
        error.split = SplitOut(
            returned={
                request.id: claim.first_step
                for request in claim.requests
                if request.subject not in unmeasured
            }
        )
        raise


def _record_in_journal(process: WorkerProcess, claim: Claim) -> None:
    """Write the journal entries of the run's requests. The gateway writes them too, but the run must not go on without
    them.
    """
    with process.database.read() as session:
        entries = [
            forget_requests.journal_entry(row, selections.of_request(session, row.id))
            for row in request_queries.of_run(session, claim.run_id)
        ]
    for entry in entries:
        process.store.append_journal(entry)


def _give_up(
    process: WorkerProcess, claim: Claim, code: str, detail: str, *, split: SplitOut = NOBODY
) -> None:
    log.error("run.needs_attention", code=code, split_out=len(split.returned))
    try:
        with process.transaction() as transaction:
            run = runs.owned(transaction.session, claim.run_id, claim.fence)
            split_out(transaction, run, split, now=transaction.now())
            runs.give_up(transaction, run, code=code, detail=detail)
    except FenceLost:
        log.warning("run.taken_over", fence=claim.fence)


def _postpone(process: WorkerProcess, claim: Claim, error: Exception) -> None:
    """Retry the run after a pause, because of a defect or an error that looks like one.

    The number of claims limits the retries. Past the point of no return there is no limit: the run can only be late,
    never be given up.
    """
    log.error("run.postponed", error=type(error).__name__, exc_info=error)
    try:
        with process.transaction() as transaction:
            run = runs.owned(transaction.session, claim.run_id, claim.fence)
            if run.claims >= process.settings.max_claims and not is_past_return(run):
                runs.give_up(transaction, run, code=code_of(error), detail=str(error))
            else:
                run.lease_until = transaction.now() + timedelta(seconds=process.settings.lease_seconds)
                run.detail_code, run.detail = code_of(error), str(error)[:500]
    except FenceLost:
        log.warning("run.taken_over", fence=claim.fence)
        sweep_store(process)
