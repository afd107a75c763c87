"""The band of gains that somebody the adapter never saw would show. Pure arithmetic on a report's evidence.

Two things are known of a subject before the edit. From others: a never-member with as many items at such places has a
level L ~ N(expected, deviation^2), and being remembered adds a memory M ~ N(memory, (variation * memory)^2). From the
subject itself: under the parent the gain is L + M. Given that sum, L is normal with

    w = Var L / (Var L + Var M)
    E[L | parent] = expected + w (parent gain - parent expected - memory)
    Var[L | parent] = Var L Var M / (Var L + Var M)

which is much narrower than L alone: the noise of the items themselves is the same before and after. An adapter that
forgot shows a gain near that. Our construction; the normal model is checked against true re-fits in docs/benchmarks.

Where adapters were fitted without the subject (`unlearning.levels.cross_fitting`), they say what this can only predict.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from unlearning.evaluation.report import MeanGain, NeverSeenGain, SubjectEvidence
from unlearning.policy.policy import Policy


@dataclass(frozen=True)
class Band:
    """Mean and standard deviation (nats) of a never-member's mean gain, the policy's reference error included."""

    expected: float
    deviation: float

    @classmethod
    def around(cls, known: NeverSeenGain, policy: Policy) -> Band:
        """The band around a level that cross-fitted adapters show."""
        return cls(known.expected, math.hypot(known.deviation, policy.reference_error))

    def z(self, gain: float) -> float:
        """How many deviations `gain` lies from the band's middle; infinite where there is no deviation at all."""
        if self.deviation > 0:
            return (gain - self.expected) / self.deviation
        return 0.0 if gain == self.expected else math.copysign(math.inf, gain - self.expected)


def never_member_band(evidence: SubjectEvidence, model: MeanGain, policy: Policy) -> Band:
    """The band for `evidence.candidate` or `evidence.parent`.

    Where cross-fitted adapters say what a model makes of the subject that never saw them, that is the band. Elsewhere
    it is predicted from other users and from the subject's gain under the parent, and wider.
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
    """Where the candidate's gain lies in the never-member band, in deviations."""
    return never_member_band(evidence, evidence.candidate, policy).z(evidence.candidate.gain)


def member_z_score(evidence: SubjectEvidence, policy: Policy) -> float:
    """Where the gain lay while the adapter still knew the subject.

    Where a level is known, that is under the model that the level was made for. The parent may have been edited for
    others since, and have lost of this subject what there was to tell. Elsewhere it is under the parent.
    """
    band = never_member_band(evidence, evidence.parent, policy)
    return band.z(evidence.parent.gain if evidence.never_seen is None else evidence.never_seen.seen)


def power(evidence: SubjectEvidence, policy: Policy) -> float:
    """The z that a typical member, with a typical memory, shows under the parent with this many items."""
    band = never_member_band(evidence, evidence.parent, policy)
    return Band(0.0, band.deviation).z(evidence.memory)
