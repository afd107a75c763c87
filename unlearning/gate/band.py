"""The band: the gains of a never-member, a user whom the adapter never saw. Pure arithmetic on a report's evidence.

Where adapters were fitted without the subject (`unlearning.levels.cross_fitting`), the band is measured. Elsewhere it
is predicted from two facts that are known before the edit:

* From other users: a never-member with as many items, of the same positions and popularity, has a level
  L ~ N(expected, deviation^2). Being remembered adds a memory M ~ N(memory, (variation * memory)^2).
* From the subject: under the parent the gain is L + M.

Given that sum, L is normal with

    w = Var L / (Var L + Var M)
    E[L | parent] = expected + w (parent gain - parent expected - memory)
    Var[L | parent] = Var L Var M / (Var L + Var M)

This is much narrower than L alone, because the noise of the items is the same before and after the edit. An adapter
that forgot the subject shows a gain near E[L | parent]. Our construction; docs/benchmarks checks the normal model
against true re-fits.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from unlearning.evaluation.report import MeanGain, NeverSeenGain, SubjectEvidence
from unlearning.policy.policy import Policy


@dataclass(frozen=True)
class Band:
    """Mean and standard deviation (nats) of a never-member's mean gain. The policy's reference error is included."""

    expected: float
    deviation: float

    @classmethod
    def around(cls, known: NeverSeenGain, policy: Policy) -> Band:
        """The band around a level that cross-fitted adapters measured."""
        return cls(known.expected, math.hypot(known.deviation, policy.reference_error))

    def z(self, gain: float) -> float:
        """How many deviations `gain` lies from the band's middle; infinite where there is no deviation at all."""
        if self.deviation > 0:
            return (gain - self.expected) / self.deviation
        return 0.0 if gain == self.expected else math.copysign(math.inf, gain - self.expected)


def never_member_band(evidence: SubjectEvidence, model: MeanGain, policy: Policy) -> Band:
    """The band for `evidence.candidate` or `evidence.parent`.

    It is measured where the subject has a cross-fitted level. Elsewhere it is predicted from other users and from the
    subject's gain under the parent, and is wider.
    """
    if evidence.never_seen is not None:
        return Band.around(evidence.never_seen, policy)
    level = model.deviation**2
    memory = (policy.memory_variation * evidence.memory_scale) ** 2
    weight = level / (level + memory) if level + memory > 0 else 0.0
    surprise = evidence.parent.gain - evidence.parent.expected - evidence.memory
    return Band(
        expected=model.expected + weight * surprise,
        deviation=math.hypot(math.sqrt(weight * memory), policy.reference_error),
    )


def z_score(evidence: SubjectEvidence, policy: Policy) -> float:
    """The z of the candidate's gain in the never-member band."""
    return never_member_band(evidence, evidence.candidate, policy).z(evidence.candidate.gain)


def member_z_score(evidence: SubjectEvidence, policy: Policy) -> float:
    """The z of the subject's gain while the adapter still knew the subject.

    With a level, that is the gain under the model that the level was made for: the parent may have been edited for
    others since, which can already have removed this subject's traces. Without a level, it is the gain under the
    parent.
    """
    band = never_member_band(evidence, evidence.parent, policy)
    return band.z(evidence.parent.gain if evidence.never_seen is None else evidence.never_seen.seen)


def power(evidence: SubjectEvidence, policy: Policy) -> float:
    """The z under the parent of a typical member, one with a typical memory, with this many items."""
    band = never_member_band(evidence, evidence.parent, policy)
    return Band(0.0, band.deviation).z(evidence.memory)
