"""The report: the evidence on one candidate as a frozen record, of the same form for every method.

A report holds no user id. Subjects appear by their index in the task, retained users only as counts of equal outcomes.
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
    """One figure. `value` is None if it cannot be computed; `count` is its number of items, users or positions.

    `direction`: `higher` or `lower` is better; `reference` is best at the value of a model that never saw the subjects
    and worse on either side of it; `descriptive` is a score published by others, kept for comparison and not a goal.
    """

    name: str
    value: float | None
    direction: Direction
    count: int


@dataclass(frozen=True)
class Counts:
    """How much was measured. The measured `retained` users were drawn from `retained_available` users."""

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
    """Expected mean gain (nats) of a model that never saw the subject, and the deviation of one such model.

    `seen` is the mean gain of a model that did see the subject: the parent if that is an exact fit, else the fit that
    the levels were made for.
    """

    expected: float
    deviation: float
    seen: float


@dataclass(frozen=True)
class TailGain:
    """How far the best-remembered fifth of a subject's items stands out under the candidate, in nats.

    `gain` is the mean over that fifth minus the mean over all items, of gains relative to the expected gain of each
    item. `expected` and `deviation` are those of a never-member with as many items. For several subjects, they are
    means over the subjects with at least five items, and `items` counts these subjects' items.
    """

    items: int
    gain: float
    expected: float
    deviation: float


@dataclass(frozen=True)
class SubjectEvidence:
    """One subject's membership evidence; `index` is the index in the task's `forget`, -1 for all subjects together.

    `candidate` and `parent` hold the subject's mean gain under each model. `memory` is how much being remembered adds,
    under the parent, to the mean gain of retained members with about as many items. `memory_scale` is the unit of its
    variation: |memory| for one subject; for several, the root of the summed squares divided by their number.
    `share_matched` and `position_distance` say how well the reference's positions match the subject's. `never_seen` is
    the gain of a model that never saw the subject, from cross-fitted adapters; None if there are none. `tail` is None
    if no subject has five items.
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
    to their expected gain; `auc_two_sided` is max(auc, 1 - auc), since an attacker may invert the score.
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
class HeldOutAuc:
    """How well held-out labels of `users` retained users are told: the area under the ROC curve under both models.

    `liked` and `disliked` events were compared; both areas are None if they all have one label. `standard_error` is
    that of candidate minus parent, over users.
    """

    parent: float | None
    candidate: float | None
    standard_error: float
    users: int
    liked: int
    disliked: int


@dataclass(frozen=True)
class NeighbourEvidence:
    """The loss of the `users` retained users who share most items with the subjects.

    Means over these users of the mean smoothed NLL under the candidate minus that under the parent, in nats: above 0 if
    the candidate predicts them worse. `training` is over their training items, `held_out` over their held-out items.
    `standard_error` is that of `training`, 0 if it was not measured.
    """

    users: int
    training: float
    held_out: float
    standard_error: float = 0.0


@dataclass(frozen=True)
class RelearningEvidence:
    """A relearning attack: a short training of the candidate on `attacked` items of `subjects` subjects.

    `nll` is the mean NLL in nats of these subjects' `measured` other items after each of the numbers of `steps`, the
    first of which is 0.
    """

    subjects: int
    attacked: int
    measured: int
    steps: tuple[int, ...]
    nll: tuple[float, ...]

    @property
    def gain(self) -> float:
        """The largest fall of the NLL of the items that the attacker does not hold, in nats."""
        return self.nll[0] - min(self.nll)


@dataclass(frozen=True)
class DurabilityEvidence:
    """Evidence whether the edit lasts.

    `rounded_gain` is the mean over the subjects of their mean gain (nats) under the candidate rounded to int8.
    `relearning` is None if the policy asks for no attack or no subject has enough items for one.
    """

    rounded_gain: float
    relearning: RelearningEvidence | None


@dataclass(frozen=True)
class HeldOutLoss:
    """By how much held-out items became less likely for `users` retained users, in nats.

    `mean` and `standard_error` are over users, of the mean smoothed NLL of validation and test item under the candidate
    minus that under the parent.
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
    """The digests of what was measured, and the versions of the libraries."""

    base_digest: str
    parent_digest: str
    candidate_digest: str
    library_versions: dict[str, str]


@dataclass(frozen=True)
class Report:
    """Everything measured about one candidate. `parent_metrics` are the parent's figures on the same inputs.

    `utility` is the joint distribution of retained users' held-out NDCG@10 (mean of validation and test item) under
    parent and candidate. A paired bootstrap needs no more, so no single user's row is kept. `held_out` compares
    likelihoods, which need fewer users. `held_out`, `neighbours` and `durability` are None if they were not measured.
    Where events have labels and no ranks, `utility` is empty and `auc` takes its place.
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
    auc: HeldOutAuc | None = None
    schema: str = SCHEMA

    def value(self, name: str) -> float | None:
        """The candidate's figure called `name`. Raises InvalidReport if there is none of that name."""
        return _find(self.metrics, name)

    def to_json(self) -> str:
        """Canonical JSON; `from_json` turns it back into an equal report."""
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
