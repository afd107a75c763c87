"""The gate's checks: measures that can reject a candidate but are not needed for a pass.

A check that could not be made has `passed` None and does not bind. Too few users or items to measure are no sign of
harm, and a small installation must be able to publish. Membership and utility are different: a candidate has to
demonstrate them (`unlearning.gate.decision`).
"""

from __future__ import annotations

import math
from dataclasses import replace

from unlearning.evaluation.report import (
    DurabilityEvidence,
    HeldOutLoss,
    MembershipEvidence,
    NeighbourEvidence,
    SubjectEvidence,
)
from unlearning.gate.band import Band, power, z_score
from unlearning.gate.verdict import Reason
from unlearning.levels.student_t import quantile
from unlearning.policy.policy import Policy
from unlearning.policy.strata import stratum_of

NEIGHBOURS, ROUNDING = "neighbour_loss", "membership_z_after_rounding"
RELEARNED, TAIL = "relearned", "tail_z"
HELD_OUT = "held_out_loss"


def held_out_loss(evidence: HeldOutLoss | None, policy: Policy) -> Reason:
    """One-sided: by how much held-out items of all retained users became less likely, in nats.

    Both models read every user's two held-out items. Differences between users therefore cancel, and the bounds hold
    for few users too. Where the bounds are too wide for the margin, the wide margin applies instead, provided that the
    observed loss is within the margin and the lower bound is at most zero (no evidence of a loss). Otherwise a small
    service could never publish anything but re-fits, whose loss it cannot measure any better.
    """
    limit, wide = policy.held_out_margin, policy.wide_held_out_margin
    if evidence is None:
        return _not_made(HELD_OUT, None, limit, "no held-out likelihoods were measured")
    reach = quantile(policy.utility_confidence, evidence.users - 1) * evidence.standard_error
    low, high = evidence.mean - reach, evidence.mean + reach
    bounds = f"{policy.utility_confidence:.0%} one-sided bounds {low:+.3f} and {high:+.3f} from {evidence.users} users"
    if high <= limit:
        return Reason(HELD_OUT, evidence.mean, None, limit, True, f"not worse than the margin; {bounds}")
    if low > limit:
        return Reason(HELD_OUT, evidence.mean, None, limit, False, f"worse than the margin; {bounds}")
    if low <= 0.0 and evidence.mean <= limit and high <= wide:
        detail = f"not told from no loss by so few users, who exclude one beyond the wide margin; {bounds}"
        return Reason(HELD_OUT, evidence.mean, None, wide, True, detail)
    detail = f"too few users to exclude a loss beyond the margin; {bounds}"
    return Reason(HELD_OUT, evidence.mean, None, limit, None, detail, binding=False)


def neighbour_loss(evidence: NeighbourEvidence | None, policy: Policy) -> Reason:
    """One-sided: by how much the training items of the subjects' neighbours became less likely, in nats.

    A mean beyond the margin fails only if it is also significantly above zero.
    """
    limit = policy.neighbour_margin
    if evidence is None:
        return _not_made(NEIGHBOURS, None, limit, "no neighbours were measured")
    if evidence.users < 2:
        return _not_made(NEIGHBOURS, None, limit, "one neighbour: no telling how much neighbours vary")
    figures = f"mean over {evidence.users} neighbours; on held-out items {evidence.held_out:+.3f}"
    if evidence.training <= limit:
        return Reason(
            NEIGHBOURS, evidence.training, None, limit, True, f"the neighbours kept theirs; {figures}"
        )
    reach = quantile(policy.utility_confidence, evidence.users - 1) * evidence.standard_error
    if evidence.training > reach:
        return Reason(
            NEIGHBOURS, evidence.training, None, limit, False, f"the neighbours were harmed; {figures}"
        )
    detail = f"too few neighbours to tell harm from none; {figures}"
    return Reason(NEIGHBOURS, evidence.training, None, limit, None, detail, binding=False)


def rounding(membership: MembershipEvidence, durability: DurabilityEvidence | None, policy: Policy) -> Reason:
    """Two-sided: the run's z after the candidate is rounded to int8, in the band of the unrounded candidate."""
    limit, run = policy.membership_z, membership.run
    missing = too_little(run, membership.reference_users, policy)
    if durability is None:
        missing = "not measured"
    if durability is None or missing is not None:
        return _not_made(ROUNDING, -limit, limit, missing or "")
    z = z_score(replace(run, candidate=replace(run.candidate, gain=durability.rounded_gain)), policy)
    inside = abs(z) <= limit
    return Reason(
        ROUNDING,
        z if math.isfinite(z) else None,
        -limit,
        limit,
        inside,
        "still inside the band when rounded to int8" if inside else "rounding to int8 leads out of the band",
    )


def relearned(durability: DurabilityEvidence | None, policy: Policy) -> Reason:
    """One-sided: how much likelier, in nats, a few training steps on a tenth of the items make the other items."""
    limit = policy.relearning_margin
    attack = None if durability is None else durability.relearning
    if attack is None:
        return _not_made(
            RELEARNED, None, limit, "no attack: no subject has items enough, or none was asked for"
        )
    held = attack.gain <= limit
    figures = (
        f"{attack.steps[-1]} steps on {attack.attacked} items of {attack.subjects} subjects, "
        f"measured on {attack.measured} others"
    )
    word = "a hint brings little back" if held else "a hint brings the rest back: hidden, not forgotten"
    return Reason(RELEARNED, attack.gain, None, limit, held, f"{word}; {figures}")


def tail(evidence: SubjectEvidence, users: int, policy: Policy) -> Reason:
    """One-sided: how far the best-remembered fifth of the items stands out, in deviations of a never-member."""
    limit, found = policy.tail_z, evidence.tail
    if found is None:
        return _not_made(TAIL, None, limit, f"{evidence.items} training items have no fifth")
    if users < policy.min_reference_users:
        return _not_made(TAIL, None, limit, too_few_users(users, policy))
    z = Band(found.expected, found.deviation).z(found.gain)
    flat = z <= limit
    return Reason(
        TAIL,
        z if math.isfinite(z) else None,
        None,
        limit,
        flat,
        "no items stand out" if flat else "some items are remembered far better than the others: hidden",
    )


def too_little(evidence: SubjectEvidence, users: int, policy: Policy) -> str | None:
    """Why this evidence cannot decide membership; None if it can."""
    stratum = stratum_of(evidence.items, policy.strata)
    if not stratum.decides:
        return (
            f"{evidence.items} training items: about histories of {stratum.items} and more, up to its next stratum, "
            "the policy decides nothing"
        )
    # With a level, its deviation already says how much this many items tell, and the z of the subject while a member
    # says whether there was anything to forget.
    if evidence.never_seen is not None:
        return None
    if users < policy.min_reference_users:
        return too_few_users(users, policy)
    reach = power(evidence, policy)
    if reach < policy.min_power:
        return f"with {evidence.items} items a member would show z {reach:.2f}, too little to tell"
    return None


def too_few_users(users: int, policy: Policy) -> str:
    """The detail of a reason that finds too few users in the reference."""
    return f"{users} retained users to compare with; the policy needs {policy.min_reference_users}"


def _not_made(measure: str, low: float | None, high: float, detail: str) -> Reason:
    return Reason(measure, None, low, high, None, detail, binding=False)
