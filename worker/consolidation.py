"""A consolidation: the exact re-fit that replaces accumulated attenuation, published like any other version."""

from __future__ import annotations

from app.db.models import RunStage
from app.runs.service import Claim
from recommender import Interrupted
from worker.anchoring import anchor
from worker.completion import complete
from worker.examples import read_examples
from worker.lease import Lease
from worker.process import WorkerProcess
from worker.publication import publish_candidate, wait_for_acknowledgement
from worker.refitting import refit_without
from worker.training_data import MINIMUM_RETAINED
from worker.versions import load_version
from worker.withdrawal import withdraw


def consolidate(process: WorkerProcess, claim: Claim, lease: Lease) -> None:
    """Re-fit on everyone who is not suppressed, publish, and destroy everything older.

    If too few users are left to fit on, the live version is withdrawn instead.

    Raises:
        RefitRefused: the re-fit serves the retained users worse than the policy's margin allows.
        FenceLost: another worker holds the run now.
        PointerMoved: another version became live meanwhile; start again from that one.
    """
    # Without a parent there is nothing to consolidate: the version was withdrawn after the request.
    if claim.stage == RunStage.LADDER and claim.parent_digest is not None:
        claim = fit_and_publish(process, claim, lease)
    anchor(process.database, process.audit, process.store)
    taken = wait_for_acknowledgement(process, claim, lease)
    complete(process, claim, taken)


def fit_and_publish(process: WorkerProcess, claim: Claim, lease: Lease) -> Claim:
    """Re-fit on all events that nobody has asked to forget, and publish the fit; see `consolidate` for the errors."""
    assert claim.parent_digest is not None
    parent = load_version(process.store, claim.parent_digest)
    examples = read_examples(process, parent.fit, subjects=(), covers_epoch=claim.covers_epoch, newest=True)
    if len(examples.data.retained) < MINIMUM_RETAINED:
        return withdraw(process, claim, parent, lease)
    try:
        chosen = refit_without(process, claim, parent, examples, lease)
    except Interrupted:
        lease.check()
        raise
    return publish_candidate(process, claim, parent, chosen, examples.exact_fit, lease)
