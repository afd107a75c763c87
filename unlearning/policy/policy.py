"""The policy: which methods to try in which order, and what a candidate must reach. Hashed before a run begins."""

from __future__ import annotations

import importlib.resources
import json
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from typing import Any, Literal, get_args, get_type_hints

from unlearning.errors import InvalidEvaluation, InvalidPolicy, UnlearningError
from unlearning.evaluation.config import EvaluationConfig
from unlearning.methods.registry import METHODS, build_method
from unlearning.policy.consolidation import ConsolidationBudget
from unlearning.policy.skipping import Skipping
from unlearning.policy.strata import Stratum, check_strata
from unlearning.records import canonical_json, from_plain, sha256_hex

SCHEMA = "lethe.policy/3"
_DEFAULT_FILE = "default.json"

Scale = Literal["linear", "log"]


@dataclass(frozen=True)
class Search:
    """Search for the method's strength inside the run, by bisection; see `unlearning.gate.search`.

    Attributes:
        field: the field of the method's configuration that is searched. A larger value must forget more.
        low, high: the interval.
        steps: most values to try; each costs one run of the method and one measurement.
        scale: `log` bisects the ratio of the bounds, `linear` their difference.

    Raises:
        InvalidPolicy: an empty interval, a bound that the scale does not allow, no step, an unknown scale.
    """

    field: str
    low: float
    high: float
    steps: int = 5
    scale: Scale = "log"

    def __post_init__(self) -> None:
        if self.scale not in get_args(Scale):
            raise InvalidPolicy(f"scale is {self.scale!r}; choose one of {', '.join(get_args(Scale))}")
        if not (math.isfinite(self.low) and math.isfinite(self.high) and self.low < self.high):
            raise InvalidPolicy(f"low must be less than high, not {self.low} and {self.high}")
        if self.scale == "log" and not self.low > 0:
            raise InvalidPolicy(f"low must be greater than 0 on a log scale, not {self.low}")
        if self.steps < 1:
            raise InvalidPolicy(f"steps must be at least 1, not {self.steps}")

    def middle(self, low: float, high: float) -> float:
        """The value half-way between two values on this scale."""
        return math.sqrt(low * high) if self.scale == "log" else (low + high) / 2


@dataclass(frozen=True)
class Rung:
    """One step of the ladder: a method's name, its configuration, and which field of it is searched, if any.

    With `always`, every run tries it, whatever the track record says (`unlearning.policy.skipping`).
    """

    method: str
    config: dict[str, Any] = field(default_factory=dict)
    search: Search | None = None
    always: bool = False


@dataclass(frozen=True)
class Policy:
    """Thresholds of the gate and the ladder of methods.

    Attributes:
        name: for people; the hash identifies the policy.
        ladder: the rungs, in the order in which they are tried.
        evaluation: how candidates are measured; a report measured otherwise is refused.
        membership_z: the never-member band is |z| <= this, for each subject and for the run.
        reference_error: nats; how far the mean gain of true never-members may lie from that of the matched held-out
            items although nothing was remembered. (Held-out items are each user's latest, training items are not.)
        memory_variation: coefficient of variation of the memory (what being remembered adds to a gain) between users
            with as many items.
        min_power: without a cross-fitted level, a pass requires that a typical member would show at least this z under
            the parent. At least `membership_z`: else a member would lie inside the band and a pass would mean nothing.
        min_reference_users: fewest retained users that anything is predicted from: the band of a subject without a
            level, and the tail of any subject. It is a count, because the quality of the prediction was checked on
            hundreds of users and cannot be estimated from a few.
        strata: which lengths of history the gate decides about, chosen by its measured error rates; the others are
            inconclusive.
        utility_margin: largest tolerated relative loss of held-out NDCG@10, or of AUC - 0.5, against the parent.
        held_out_margin: nats; largest tolerated rise of the mean loss on held-out items.
        wide_held_out_margin: nats; the same where users are too few to exclude a rise beyond `held_out_margin` and
            there is no evidence of one.
        utility_confidence: confidence of the one-sided bounds.
        utility_resamples, utility_seed: number of resamples and seed of the bootstrap.
        neighbour_margin: nats; largest tolerated rise of the mean loss of the subjects' neighbours on their own
            training items.
        relearning_margin: nats; largest tolerated gain of a short relearning attack on items the attacker does not
            hold.
        tail_z: how far the best-remembered fifth of the items may stand out, in deviations of a never-member.
        exact_may_publish_unproven: see `unlearning.gate.decision.publishable`.
        exact_alarm_z: an exact method whose |z| exceeds this is stopped, because chance no longer explains it.
        exact_draws: how often an exact fit that serves the retained users worse than its parent is fitted, each time
            with another seed, before a person is asked; the first fit counts.
        skipping: when a run leaves out a rung because of its record in earlier runs; None to try every rung.
        consolidation: how much attenuation may accumulate before an exact re-fit is due.

    Raises:
        InvalidPolicy: a threshold out of range, an empty ladder, or a rung whose method or configuration is invalid.
    """

    name: str
    ladder: tuple[Rung, ...]
    evaluation: EvaluationConfig
    membership_z: float
    reference_error: float
    memory_variation: float
    min_power: float
    min_reference_users: int
    strata: tuple[Stratum, ...]
    utility_margin: float
    held_out_margin: float
    wide_held_out_margin: float
    utility_confidence: float
    utility_resamples: int
    utility_seed: int
    neighbour_margin: float
    relearning_margin: float
    tail_z: float
    exact_may_publish_unproven: bool
    exact_alarm_z: float
    exact_draws: int
    skipping: Skipping | None
    consolidation: ConsolidationBudget
    schema: str = SCHEMA

    def __post_init__(self) -> None:
        if not self.ladder:
            raise InvalidPolicy("the ladder is empty; name at least one method")
        for place, rung in enumerate(self.ladder, start=1):
            try:
                _check_rung(rung)
            except UnlearningError as problem:
                raise InvalidPolicy(f"rung {place} of the ladder: {problem}") from problem
        check_strata(self.strata)
        self._check_thresholds()

    def _check_thresholds(self) -> None:
        rules: tuple[tuple[tuple[str, ...], str, Callable[[float], bool]], ...] = (
            (
                (
                    "membership_z",
                    "utility_margin",
                    "held_out_margin",
                    "neighbour_margin",
                    "relearning_margin",
                    "tail_z",
                ),
                "greater than 0",
                lambda value: value > 0,
            ),
            (("reference_error", "memory_variation"), "at least 0", lambda value: value >= 0),
            (
                ("min_power", "exact_alarm_z"),
                "at least membership_z",
                lambda value: value >= self.membership_z,
            ),
            (
                ("wide_held_out_margin",),
                "at least held_out_margin",
                lambda value: value >= self.held_out_margin,
            ),
            (("utility_confidence",), "between 0.5 and 1", lambda value: 0.5 < value < 1.0),
            (
                ("min_reference_users", "utility_resamples", "exact_draws"),
                "at least 1",
                lambda value: value >= 1,
            ),
        )
        for names, demand, holds in rules:
            for name in names:
                if not holds(getattr(self, name)):
                    raise InvalidPolicy(f"{name} must be {demand}, not {getattr(self, name)}")

    @property
    def hash(self) -> str:
        """SHA-256 hex of the canonical JSON; equal policies have equal hashes."""
        return sha256_hex(canonical_json(self))

    def to_json(self) -> str:
        """Canonical JSON; `from_json` reads it back to an equal policy with an equal hash."""
        return canonical_json(self).decode()

    @classmethod
    def from_json(cls, text: str | bytes) -> Policy:
        """Read a policy. Every field must be present, so that no threshold has a value the operator did not see.
        Only a rung may leave out fields: `config`, `search` and `always`.

        Raises:
            InvalidPolicy: not JSON, another schema, an unknown or missing field, or a value out of range.
        """
        try:
            data = json.loads(text)
        except ValueError as problem:
            raise InvalidPolicy(f"the policy is not JSON: {problem}") from problem
        if not isinstance(data, Mapping) or data.get("schema") != SCHEMA:
            raise InvalidPolicy(f"this is not a policy of schema {SCHEMA}")
        for section, kind in _SECTIONS:
            content = data.get(section)
            if section == "skipping" and content is None:
                continue
            known = content if isinstance(content, Mapping) else {}
            absent = [item.name for item in fields(kind) if item.name not in known]
            if absent:
                raise InvalidPolicy(f"policy.{section} lacks {', '.join(absent)}")
        try:
            return from_plain(cls, data, InvalidPolicy, "policy")
        except InvalidEvaluation as problem:
            raise InvalidPolicy(f"policy.evaluation: {problem}") from problem


_SECTIONS: tuple[tuple[str, type[Any]], ...] = (
    ("evaluation", EvaluationConfig),
    ("skipping", Skipping),
    ("consolidation", ConsolidationBudget),
)


def _check_rung(rung: Rung) -> None:
    method = build_method(rung.method, rung.config)
    search = rung.search
    if search is None:
        return
    if method.card.exact:
        raise InvalidPolicy(f"{rung.method} is exact: it has no strength to search")
    if search.field in rung.config:
        raise InvalidPolicy(f"{search.field} is searched, so leave it out of the configuration")
    kinds = get_type_hints(METHODS[rung.method].config)
    kind = kinds.get(search.field, float)
    if float not in (kind, *get_args(kind)):
        numbers = ", ".join(name for name, one in kinds.items() if float in (one, *get_args(one)))
        raise InvalidPolicy(
            f"{rung.method}.{search.field} is no number with a middle between any two, so no strength can be searched "
            f"in it; those of {rung.method} are: {numbers or 'none'}"
        )
    for bound in (search.low, search.high):
        build_method(rung.method, {**rung.config, search.field: bound})


def default_policy() -> Policy:
    """The default policy, `default.json` in this folder; docs/benchmarks says how it was chosen."""
    return Policy.from_json(
        importlib.resources.files("unlearning.policy").joinpath(_DEFAULT_FILE).read_text()
    )
