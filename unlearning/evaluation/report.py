"""The evidence a run leaves behind: one frozen record, the same whichever method made the candidate.

A report holds no user id. Subjects are known by their place in the task; retained users only as counts of equal
outcomes.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from unlearning.errors import InvalidReport
from unlearning.evaluation.config import EvaluationConfig
from unlearning.records import canonical_json, from_plain

Direction = Literal["higher", "lower", "reference", "descriptive"]
SCHEMA = "lethe.report/2"


@dataclass(frozen=True)
class Metric:
    """One figure. `value` is None where it cannot be computed; `count` says over how many items, users or positions.

    `direction`: `higher` or `lower` is better; `reference`: best at the level of a model that never saw the subjects,
    worse on either side of it; `descriptive`: published by others as a score, kept for comparison, not a goal.
    """

    name: str
    value: float | None
    direction: Direction
    count: int


@dataclass(frozen=True)
class Counts:
    """How much was measured. `retained_available` is the population the measured `retained` users were drawn from."""

    subjects: int
    subject_items: int
    retained: int
    retained_available: int


@dataclass(frozen=True)
class MeanGain:
    """A mean gain (nats) under one model.

    `expected` and `deviation` are the mean and standard deviation that a never-member would show with as many items,
    matched by position and popularity.
    """

    gain: float
    expected: float
    deviation: float


@dataclass(frozen=True)
class NeverSeenGain:
    """Mean gain (nats) that a model shows that never saw the subject, and by how much one such model varies.

    `seen` is the mean gain of a model that did see the subject: the parent where that is an exact fit, else the fit
    that the levels were made for.
    """

    expected: float
    deviation: float
    seen: float


@dataclass(frozen=True)
class TailGain:
    """How far the best-remembered fifth of the items stands out of a subject's others, in nats, under the candidate.

    `gain` is the mean over that fifth, less the mean over all the items, each item's gain taken relative to the
    expectation at its place; `expected` and `deviation` are what a never-member with as many items would show. Of
    several subjects, the means over those with at least five items; `items` counts theirs.
    """

    items: int
    gain: float
    expected: float
    deviation: float


@dataclass(frozen=True)
class SubjectEvidence:
    """One subject's membership evidence; `index` is the place in the task's `forget`, -1 for all of them together.

    `candidate` and `parent` hold the subject's mean gain under each model. `memory` is what being remembered adds to
    the mean gain of retained members with about as many items under the parent, and `memory_scale` the unit of how
    much that varies: the same for one subject, the root of the summed squares over their number for several.
    `share_matched` and `position_distance` tell how well the reference's positions fit the subject's. `never_seen` is
    the gain of a model that never saw the subject, from cross-fitted adapters; None where there are none. `tail` is
    None where no subject has five items.
    """

    index: int
    items: int
    candidate: MeanGain
    parent: MeanGain
    memory: float
    memory_scale: float
    share_matched: float
    position_distance: float
    never_seen: NeverSeenGain | None = None
    tail: TailGain | None = None


@dataclass(frozen=True)
class MembershipEvidence:
    """Membership of the run's subjects, together (`run`) and one by one.

    `auc` is the probability that a subject's item gains more than a held-out item of a retained user, both relative
    to the reference at their position; `auc_two_sided` is max(auc, 1 - auc): an attacker may flip the sign.
    """

    reference_users: int
    between_variance: float
    within_variance: float
    run: SubjectEvidence
    auc: float
    auc_two_sided: float
    subjects: tuple[SubjectEvidence, ...]


@dataclass(frozen=True)
class PairedOutcome:
    """`count` retained users whose held-out NDCG@10 is `parent` under the parent and `candidate` now."""

    parent: float
    candidate: float
    count: int


@dataclass(frozen=True)
class NeighbourEvidence:
    """What the candidate took from the `users` retained users who have most in common with the subjects.

    Means over these users of (candidate - parent) of the mean smoothed NLL, in nats: above 0 where the candidate
    predicts them worse. `training` is over their own training items, `held_out` over their held-out ones;
    `standard_error` is that of `training`, 0 where it was not measured.
    """

    users: int
    training: float
    held_out: float
    standard_error: float = 0.0


@dataclass(frozen=True)
class RelearningEvidence:
    """A short training of the candidate on `attacked` items of `subjects` of the subjects.

    `nll` is the mean NLL in nats of their `measured` other items after each number of `steps`, 0 first.
    """

    subjects: int
    attacked: int
    measured: int
    steps: tuple[int, ...]
    nll: tuple[float, ...]

    @property
    def gain(self) -> float:
        """By how much the items that the attacker does not hold became likelier, at best, in nats."""
        return self.nll[0] - min(self.nll)


@dataclass(frozen=True)
class DurabilityEvidence:
    """Whether the edit survives what happens to an adapter afterwards.

    `rounded_gain` is the mean over the subjects of their mean gain (nats) under the candidate rounded to int8.
    `relearning` is None where the policy asks for no attack, or no subject has items enough for one.
    """

    rounded_gain: float
    relearning: RelearningEvidence | None


@dataclass(frozen=True)
class HeldOutLoss:
    """By how much held-out items became less likely for `users` retained users, in nats.

    `mean` and `standard_error` are those of each user's mean smoothed NLL under the candidate minus that under the
    parent, over validation and test item.
    """

    mean: float
    standard_error: float
    users: int


@dataclass(frozen=True)
class CostRecord:
    """What the method spent; see `unlearning.methods.method.Cost`."""

    seconds: float
    forwards: int
    backwards: int
    samples: int


@dataclass(frozen=True)
class Provenance:
    """Which bytes and which code were measured."""

    base_digest: str
    parent_digest: str
    candidate_digest: str
    library_versions: dict[str, str]


@dataclass(frozen=True)
class Report:
    """Everything measured about one candidate. `parent_metrics` are the parent's figures on the same inputs.

    `utility` is the joint distribution of retained users' held-out NDCG@10 (mean of validation and test item) under
    parent and candidate: all a paired bootstrap needs, and nobody's row. `held_out` says the same of likelihoods, which
    need fewer users. It, `neighbours` and `durability` are None where they were not measured.
    """

    method: str
    method_config: dict[str, Any]
    exact: bool
    seed: int
    evaluation: EvaluationConfig
    counts: Counts
    metrics: tuple[Metric, ...]
    parent_metrics: tuple[Metric, ...]
    membership: MembershipEvidence
    utility: tuple[PairedOutcome, ...]
    cost: CostRecord
    provenance: Provenance
    held_out: HeldOutLoss | None = None
    neighbours: NeighbourEvidence | None = None
    durability: DurabilityEvidence | None = None
    schema: str = SCHEMA

    def value(self, name: str) -> float | None:
        """The candidate's figure called `name`. Raises InvalidReport if there is none of that name."""
        return _find(self.metrics, name)

    def to_json(self) -> str:
        """Canonical JSON; `from_json` reads it back to an equal report."""
        return canonical_json(self).decode()

    @classmethod
    def from_json(cls, text: str | bytes) -> Report:
        """Read `to_json` output.

        Raises:
            InvalidReport: not JSON, another schema, or a field that is unknown, missing or of the wrong type.
        """
        try:
            data = json.loads(text)
        except ValueError as problem:
            raise InvalidReport(f"the report is not JSON: {problem}") from problem
        if not isinstance(data, Mapping) or data.get("schema") != SCHEMA:
            raise InvalidReport(f"this is not a report of schema {SCHEMA}")
        return from_plain(cls, data, InvalidReport, "report")


def _find(metrics: tuple[Metric, ...], name: str) -> float | None:
    for metric in metrics:
        if metric.name == name:
            return metric.value
    raise InvalidReport(f"the report has no metric {name!r}; it has {', '.join(m.name for m in metrics)}")
