"""Fit adapters without some of the users, read everybody under them, keep the numbers, drop the adapters.

The price of `pairs` re-fits, paid once per exact fit of the service's adapter; every forget request until the next one
then knows the level it has to reach. The alternative, a predictor from what the parent and the base make of a user,
costs nothing and errs more: `lethe bench gate` prints both.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from recommender import Adapter, AdapterConfig, Base, Split, TrainingConfig, attach
from unlearning.errors import InvalidEvaluation
from unlearning.evaluation.evidence import item_popularity
from unlearning.evaluation.gains import smoothed
from unlearning.evaluation.inputs import whole_history
from unlearning.evaluation.metrics import HELD_OUT
from unlearning.evaluation.reading import read
from unlearning.methods.fitting import Fit, fit_anew
from unlearning.never_seen import CrossReadings, NeverSeen, levels
from unlearning.progress import OnStep, Progress, ShouldStop

_SEED_OFFSET = 500_000
_PARTS = 100
# Two readings of each user are the least that tells how much readings vary.
PAIRS = 2


@dataclass(frozen=True)
class Half:
    """An adapter to fit on these users (places in the population) with this seed."""

    members: tuple[int, ...]
    seed: int


def halves(users: int, pairs: int, seed: int) -> tuple[Half, ...]:
    """Random halves in complementary pairs, so that every user is left out of exactly one half of each pair.

    Raises:
        InvalidEvaluation: fewer than two pairs (one reading says nothing about how much readings vary), or fewer than
            four users.
    """
    if pairs < 2 or users < 4:
        raise InvalidEvaluation(
            f"cross-fitting needs two pairs of halves and four users, not {pairs} and {users}"
        )
    found = []
    for pair in range(pairs):
        chosen = set(random.Random(f"{seed}/{pair}").sample(range(users), users // 2))
        others = set(range(users)) - chosen
        for side, members in enumerate((chosen, others)):
            found.append(Half(tuple(sorted(members)), _SEED_OFFSET + 1000 * seed + 2 * pair + side))
    return tuple(found)


def cross_fit(
    base: Base,
    parent: Adapter,
    users: Sequence[Split],
    *,
    adapter_config: AdapterConfig,
    training: TrainingConfig,
    smoothing: float,
    seed: int,
    pairs: int = PAIRS,
    fit: Fit = fit_anew,
    on_step: OnStep | None = None,
    should_stop: ShouldStop | None = None,
) -> tuple[NeverSeen, ...]:
    """The level of each of `users`, who are all the users that `parent` was fitted on.

    Args:
        adapter_config, training: how the parent was fitted; the halves are fitted likewise, each with its own seed.
        smoothing: of the policy's evaluation, see `EvaluationConfig.smoothing`.
        pairs: how many pairs of halves, at least two.
        fit: makes the adapters; a caller may bring a cache.

    Progress counts hundredths of each half: halves have more or fewer steps, and may stop early.

    Raises:
        InvalidEvaluation: too few users or pairs, or an adapter that diverged.
        Interrupted: `should_stop` answered yes.
    """
    collector, items = _Collector(len(users), pairs), len(base.catalogue)

    def readings(adapter: Adapter) -> tuple[list[float], Tensor]:
        """Means over training items, cut into windows as training did and as a subject is read; and of held-out items
        [users, HELD_OUT].
        """
        model = attach(base, adapter)
        own, whole = (
            [
                smoothed(reading.nll, smoothing, items)
                for reading in read(model, base.style, sequences, ranked=0, should_stop=should_stop)
            ]
            for sequences in ([split.train for split in users], [whole_history(split) for split in users])
        )
        return [float(nll.mean()) for nll in own], torch.stack([nll[-HELD_OUT:] for nll in whole])

    planned = halves(len(users), pairs, seed)
    for number, half in enumerate(planned):
        chosen = [users[place] for place in half.members]
        adapter = fit(
            base,
            tuple(split.train for split in chosen),
            adapter_config,
            replace(training, seed=half.seed),
            validation=tuple((split.train, split.validation) for split in chosen),
            on_step=None if on_step is None else _within_all(on_step, number, len(planned)),
            should_stop=should_stop,
        ).adapter
        collector.add(*readings(adapter), half.members)
    met = torch.log1p(item_popularity(users, items).double())
    found = collector.result(
        *readings(parent),
        popularity=torch.stack([met[list(split.train)].mean() for split in users]),
        held_out_popularity=torch.stack([met[[split.validation, split.test]] for split in users]),
    )
    return levels(found, [len(split.train) for split in users])


def _within_all(on_step: OnStep, number: int, count: int) -> OnStep:
    """Tells how far all `count` fits are, from the steps of the one with this number."""

    def tell(step: Progress) -> None:
        done = number * _PARTS + _PARTS * step.step // step.steps
        on_step(Progress("cross-fit", done, count * _PARTS, step.loss))

    return tell


class _Collector:
    def __init__(self, users: int, pairs: int) -> None:
        self._unseen: list[list[float]] = [[] for _ in range(users)]
        self._held_out = torch.zeros(users, HELD_OUT, dtype=torch.float64)
        self._pairs = pairs

    def add(self, own: Sequence[float], held_out: Tensor, members: Sequence[int]) -> None:
        saw = set(members)
        for place, (training, later) in enumerate(zip(own, held_out, strict=True)):
            if place in saw:
                self._held_out[place] += later / self._pairs
            else:
                self._unseen[place].append(training)

    def result(
        self, own: Sequence[float], held_out: Tensor, *, popularity: Tensor, held_out_popularity: Tensor
    ) -> CrossReadings:
        """With the parent's readings."""
        return CrossReadings(
            unseen=torch.tensor(self._unseen, dtype=torch.float64).T,
            seen=torch.tensor(own, dtype=torch.float64),
            held_out=self._held_out,
            held_out_parent=held_out,
            popularity=popularity,
            held_out_popularity=held_out_popularity,
        )
