"""Sharded training: one adapter per shard of the users, so that forgetting a user re-fits one shard.

SISA (arXiv 1912.03817) with adapters as models. They are joined by their parameters, as in APA (arXiv 2404.10327), and
not by their predictions.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import ClassVar, Literal, Unpack, get_args

from unlearning.errors import InvalidMethodConfig
from unlearning.methods.card import MethodCard
from unlearning.methods.method import Candidate, Cost, ForgetTask, Stopwatch
from unlearning.methods.shared.adapter_mean import adapter_mean
from unlearning.methods.shared.fitting import Fit, Fitted, fit_anew
from unlearning.progress import Watched

ShardWeights = Literal["uniform", "by_size"]
Sequences = Sequence[tuple[int, ...]]
HeldOut = Sequence[tuple[tuple[int, ...], int]]


@dataclass(frozen=True)
class ShardedConfig:
    """How users are assigned to shards and adapters joined.

    Attributes:
        shards: K, at least 2.
        weights: weights of the shards' adapters in the mean: `uniform`, or `by_size`, the share of retained users.
        seed: seed of the assignment and of the shards' fits. It belongs to the sharded training and not to a request:
            with another seed, no existing shard could be reused.

    Raises:
        InvalidMethodConfig: a value out of its choices or range.
    """

    shards: int = 4
    weights: ShardWeights = "uniform"
    seed: int = 0

    def __post_init__(self) -> None:
        if self.shards < 2:
            raise InvalidMethodConfig(f"shards must be at least 2 (one shard is a re-fit), not {self.shards}")
        if self.weights not in get_args(ShardWeights):
            raise InvalidMethodConfig(f"weights is {self.weights!r}; choose one of uniform, by_size")
        if self.seed < 0:
            raise InvalidMethodConfig(f"seed must be at least 0, not {self.seed}")


@dataclass(frozen=True)
class Sharded:
    """Re-fit the shards that held a subject, without the subjects; the candidate is the weighted mean of all shards.

    The mean of the shards' weight changes is exactly one LoRA of rank K r; see `adapter_mean`. A user's shard depends
    on their sequence alone, and a shard's fit on its users alone. So the result is, bit for bit on a CPU, that of a
    sharded training that never saw the subjects. `exact` means no more than that: the parent was not trained in shards,
    so the candidate is not an edit of it and cannot be compared with it or with its re-fit. Each adapter sees 1/K of
    the users, and the mean shrinks what only one shard learnt, so the loss of utility grows with K.

    The cost counts only the shards that held a subject, because the others existed before. The default `fit` fits those
    too; a caller that keeps fitted shards passes a `fit` that looks them up. A subject who keeps some items returns as
    another sequence, and the shard of that sequence counts too.

    Measured (docs/benchmarks): with four shards it loses to doing nothing in every scenario, because each adapter
    sees a quarter of the users; what it forgets, it forgets exactly.
    """

    config: ShardedConfig = field(default_factory=ShardedConfig)
    fit: Fit = fit_anew
    name: ClassVar[str] = "sharded"
    card: ClassVar[MethodCard] = MethodCard(
        title="SISA / APA shards",
        paper="arXiv 1912.03817 (SISA), arXiv 2404.10327 (APA)",
        cost_class="refit",
        exact=True,
        published_defaults="SISA: slices within shards, predictions averaged; APA: semantic shards, weights by sample",
        reconstruction="shards by a hash, no slices, one fixed mean of the adapters' weight changes",
    )

    def run(self, task: ForgetTask, **watched: Unpack[Watched]) -> Candidate:
        """Fit, or look up, every shard that still has users, and join them.

        Raises:
            AdapterMismatch: a shard's adapter is not plain LoRA of the same form as the others.
            Interrupted: `should_stop` answered yes.
        """
        affected = self._affected(task)
        fitted: dict[int, Fitted] = {}
        sizes: list[float] = []
        for shard in range(self.config.shards):
            users = [sequence for sequence in task.retain if self.shard_of(sequence) == shard]
            if not users:
                continue
            sizes.append(len(users))
            fitted[shard] = self.fit(
                task.base,
                users,
                task.adapter_config,
                replace(task.training, seed=task.training.seed + self.config.seed + shard),
                validation=[pair for pair in task.retain_validation if self.shard_of(pair[0]) == shard],
                **watched,
            )
        watch = Stopwatch()
        weights = sizes if self.config.weights == "by_size" else [1.0] * len(fitted)
        adapter = adapter_mean([one.adapter for one in fitted.values()], weights)
        refitted = [one for shard, one in fitted.items() if shard in affected]
        passes = sum(one.passes for one in refitted)
        seconds = watch.seconds + sum(one.seconds for one in refitted)
        return Candidate(adapter=adapter, cost=Cost(seconds, passes, passes, passes))

    def shard_of(self, sequence: Sequence[int]) -> int:
        """The shard of a training sequence: a seeded hash of its items, independent of other users."""
        content = f"{self.config.seed}:{','.join(map(str, sequence))}"
        return int.from_bytes(hashlib.sha256(content.encode()).digest()) % self.config.shards

    def _affected(self, task: ForgetTask) -> set[int]:
        shards = {self.shard_of(sequence) for sequence in task.forget}
        present = set(task.retain)
        for sequence, marks in zip(task.forget, task.forget_targets or (), strict=False):
            rest = tuple(item for item, gone in zip(sequence, marks, strict=True) if not gone)
            if rest in present:
                shards.add(self.shard_of(rest))
        return shards
