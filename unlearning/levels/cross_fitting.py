"""Cross-fitting: fit adapters on parts of the users, read every user under them, keep the numbers, drop the adapters.

This runs once per exact fit of the service's adapter. Every forget request until the next fit then knows the level it
has to reach. A small service pays the price of two re-fits, a large one that of one or less (`scheme_for`). The
alternative is to predict levels from the user's loss under the parent and the base, which costs nothing and errs more:
`lethe bench gate` prints both, and `lethe bench levels` prints what each scheme costs and how far it errs.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping, Sequence
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
from unlearning.levels.never_seen import CrossReadings, NeverSeen, levels
from unlearning.methods.shared.fitting import Fit, fit_anew
from unlearning.progress import OnStep, Progress, ShouldStop

_SEED_OFFSET = 500_000
_HUNDREDTHS = 100
_LEAST_USERS = 4


@dataclass(frozen=True)
class Scheme:
    """How the users are divided: `rounds` times, all users are dealt to `parts` parts.

    One adapter is fitted per part, on at most `most` of its users: `rounds * parts` fits, at the price of at most
    `rounds` re-fits. Every user is read under at least `readings` adapters that never saw them.

    Raises:
        InvalidEvaluation: fewer than two such readings, since one says nothing about how much readings vary.
    """

    rounds: int
    parts: int
    most: int | None = None

    def __post_init__(self) -> None:
        if (
            self.rounds < 1
            or self.parts < 2
            or self.readings < 2
            or (self.most is not None and self.most < 1)
        ):
            raise InvalidEvaluation(
                f"cross-fitting needs two readings of each user, of adapters of some users: {self}"
            )

    @property
    def name(self) -> str:
        """`<rounds>x<parts>`. Schemes of one name deal users the same way; they differ at most in `most`."""
        return f"{self.rounds}x{self.parts}"

    @property
    def readings(self) -> int:
        """The least number of readings of each user under adapters that never saw them."""
        return self.rounds * (self.parts - 1)


HALVES = Scheme(rounds=2, parts=2)
# From this number of users on, adapters are fitted on samples instead of halves.
LARGE = 2000
_SAMPLES, _LEAST_SAMPLE, _LEAST_SHARE = 4, 500, 8


def scheme_for(users: int) -> Scheme:
    """Two pairs of halves; from `LARGE` users on, four samples of 500 users or of one user in eight, whichever is more.

    The fits cost as much as two re-fits with halves, one re-fit at 2,000 users, and half a re-fit from 4,000 users on.
    In addition everybody is read twice under each adapter. Adapters of smaller samples know less; the correction for
    that (`unlearning.levels.never_seen.levels`) is incomplete. Levels from one user in eight lie higher than levels
    from halves, by less than their deviation, and the band around them holds as many never-seen readings. With one
    user in sixteen it does not (`lethe bench levels`, on sparse data).
    """
    if users < LARGE:
        return HALVES
    return Scheme(rounds=1, parts=_SAMPLES, most=max(_LEAST_SAMPLE, users // _LEAST_SHARE))


@dataclass(frozen=True)
class Part:
    """An adapter to fit on `members` (indices in the population) with `seed`."""

    members: tuple[int, ...]
    seed: int


@dataclass(frozen=True)
class PartReadings:
    """Every user's losses under the adapter of one part: all that is kept of it, so that it is not fitted again.

    `members` are the indices of the users it was fitted on. `own` is each user's mean smoothed loss over their training
    items, `held_out` [users, HELD_OUT] the smoothed loss of each held-out item, in nats, float64.
    """

    members: frozenset[int]
    own: tuple[float, ...]
    held_out: Tensor


def parts(
    users: int, scheme: Scheme, seed: int, known: Mapping[int, frozenset[int]] | None = None
) -> tuple[Part, ...]:
    """Random parts of the users, round by round; no user is in two parts of one round.

    Args:
        known: the members of parts that were fitted before, by part number. The remaining parts of a round share the
            remaining users.

    Raises:
        InvalidEvaluation: fewer than four users, or fewer users than parts.
    """
    if users < max(_LEAST_USERS, scheme.parts):
        raise InvalidEvaluation(f"cross-fitting needs four users, and one a part, not {users}")
    found, known = [], known or {}
    for number in range(scheme.rounds):
        first = number * scheme.parts
        ours = {side: known[first + side] for side in range(scheme.parts) if first + side in known}
        taken = frozenset().union(*ours.values())
        left = [index for index in range(users) if index not in taken]
        order = random.Random(f"{seed}/{number}").sample(left, len(left))
        missing = [side for side in range(scheme.parts) if side not in ours]
        for index, side in enumerate(missing):
            start, end = (len(order) * one // len(missing) for one in (index, index + 1))
            ours[side] = frozenset(order[start:end][: scheme.most])
        found += [
            Part(tuple(sorted(ours[side])), _SEED_OFFSET + 1000 * seed + first + side)
            for side in range(scheme.parts)
        ]
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
    scheme: Scheme | None = None,
    fit: Fit = fit_anew,
    done: Mapping[int, PartReadings] | None = None,
    on_part: Callable[[int, PartReadings], None] | None = None,
    on_step: OnStep | None = None,
    should_stop: ShouldStop | None = None,
) -> tuple[NeverSeen, ...]:
    """The level of each of `users`, who are all the users that `parent` was fitted on.

    Args:
        adapter_config, training: how the parent was fitted; the parts are fitted in the same way, each with its seed.
        smoothing: `EvaluationConfig.smoothing` of the policy.
        scheme: how users are divided; None for `scheme_for` this number of users.
        fit: fits the adapters; a caller may pass one with a cache.
        done: readings of parts of these very users from an earlier call, by part number; they are not fitted again.
        on_part: called with the number and the readings of each part as soon as it has been read.

    Progress counts each part as a hundred steps, because parts take different numbers of steps and may stop early.

    Raises:
        InvalidEvaluation: too few users, or an adapter that diverged.
        Interrupted: `should_stop` answered yes.
    """
    done = dict(done or {})
    scheme = scheme or scheme_for(len(users))
    collector = _Collector(len(users), scheme)

    def readings(adapter: Adapter) -> tuple[list[float], Tensor]:
        """Each user's mean loss over training items, and the loss of each held-out item [users, HELD_OUT].

        The training items are read alone, so that they are cut into windows as in training and in an evaluation.
        """
        model = attach(base, adapter)
        own, whole = (
            [
                smoothed(reading.nll, smoothing, base.style.event_options)
                for reading in read(model, base.style, sequences, ranked=0, should_stop=should_stop)
            ]
            for sequences in ([split.train for split in users], [whole_history(split) for split in users])
        )
        return [float(nll.mean()) for nll in own], torch.stack([nll[-HELD_OUT:] for nll in whole])

    planned = parts(len(users), scheme, seed, {number: part.members for number, part in done.items()})
    for number, part in enumerate(planned):
        if number not in done:
            chosen = [users[index] for index in part.members]
            adapter = fit(
                base,
                tuple(split.train for split in chosen),
                adapter_config,
                replace(training, seed=part.seed),
                validation=tuple((split.train, split.validation) for split in chosen),
                on_step=None if on_step is None else _within_all(on_step, number, len(planned)),
                should_stop=should_stop,
            ).adapter
            own, held_out = readings(adapter)
            done[number] = PartReadings(frozenset(part.members), tuple(own), held_out)
            if on_part is not None:
                on_part(number, done[number])
        collector.add(done[number])
    met = torch.log1p(item_popularity(users, base.style.event_kinds).double())
    own, held_out = readings(parent)
    sampled = collector.sampled()
    return levels(
        CrossReadings(
            unseen=collector.unseen(),
            seen=torch.tensor(own, dtype=torch.float64),
            held_out=collector.held_out()[sampled],
            held_out_parent=held_out[sampled],
            popularity=torch.stack([met[list(split.train)].mean() for split in users]),
            held_out_popularity=torch.stack(
                [met[[users[index].validation, users[index].test]] for index in sampled]
            ),
        ),
        [len(split.train) for split in users],
    )


def _within_all(on_step: OnStep, number: int, count: int) -> OnStep:
    """Report the progress of all `count` fits from the steps of fit `number`."""

    def tell(step: Progress) -> None:
        done = number * _HUNDREDTHS + _HUNDREDTHS * step.step // step.steps
        on_step(Progress("cross-fit", done, count * _HUNDREDTHS, step.loss))

    return tell


class _Collector:
    def __init__(self, users: int, scheme: Scheme) -> None:
        self._readings = scheme.readings
        self._unseen: list[list[float]] = [[] for _ in range(users)]
        self._held_out = torch.zeros(users, HELD_OUT, dtype=torch.float64)
        self._member_of = torch.zeros(users, dtype=torch.float64)

    def add(self, part: PartReadings) -> None:
        for index, (training, later) in enumerate(zip(part.own, part.held_out, strict=True)):
            if index in part.members:
                self._held_out[index] += later
                self._member_of[index] += 1
            else:
                self._unseen[index].append(training)

    def unseen(self) -> Tensor:
        """Losses under adapters that never saw the user, [readings, users]; further readings are left out."""
        return torch.tensor([own[: self._readings] for own in self._unseen], dtype=torch.float64).T

    def sampled(self) -> list[int]:
        """The indices of the users who are members of a part."""
        return [index for index, times in enumerate(self._member_of.tolist()) if times]

    def held_out(self) -> Tensor:
        """Mean losses under the adapters that saw the user, [users, HELD_OUT]; 0 for users in no part."""
        return self._held_out / self._member_of.clamp(min=1.0).unsqueeze(1)
