"""CURE: find the LoRA layers that cause the subjects' predictions, and update each group with its own gradient.

The paper's equations are not in what we could read; every free choice is a field of `CureConfig`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import ClassVar, Literal, get_args

import torch
from torch import Tensor, nn

from recommender import Adapter, Base, ItemTokenStyle
from recommender.choices import Batch
from unlearning.activations.collect import without_activations
from unlearning.errors import InvalidMethodConfig, InvalidTask
from unlearning.methods.card import MethodCard
from unlearning.methods.compared.cure.circuits import Circuits, circuits, node_effects
from unlearning.methods.compared.cure.counterfactuals import Counterfactual, PagerankTail, PopularityMatched
from unlearning.methods.method import Candidate, ForgetTask, Stopwatch
from unlearning.methods.shared import losses
from unlearning.methods.shared.descent import (
    ChoiceModel,
    DescentConfig,
    descend,
    forget_windows,
    retain_windows,
)
from unlearning.progress import OnStep, Progress, ShouldStop, check_stop

ForgetObjective = Literal["npo", "gradient_ascent"]
CounterfactualKind = Literal["pagerank_tail", "popularity_matched"]
ProjectionScope = Literal["tensor", "module", "group"]

FORGET_PREFIX, RETAIN_PREFIX = "forget_effect.", "retain_effect."
_MODULE_PREFIX, _WEIGHTS = "base_model.model.", (".lora_A.weight", ".lora_B.weight")
_CHOICES = {"forget": ForgetObjective, "counterfactual": CounterfactualKind, "projection": ProjectionScope}


@dataclass(frozen=True)
class CureConfig(DescentConfig):
    """The discovery of circuits, the descent after it, and the losses of each group of nodes.

    Attributes:
        circuit_share: share of all nodes, in (0, 1], that is taken on each side, at least one node. At 1 every node is
            shared, and the method is gradient difference with a projection.
        counterfactual: `pagerank_tail` takes items from the tail of the window's personalised PageRank on the graph of
            the retained users, `popularity_matched` items of similar popularity.
        restart: restart probability of the random walk, in (0, 1).
        tail: share of the catalogue, in (0, 1], that `pagerank_tail` draws from.
        integration_points: 1 takes the gradient at the window itself; more average it along the line there.
        discovery_windows: number of windows that the discovery reads on each side, rounded up to whole batches.
        forget: `npo` per item with the parent as reference, or `gradient_ascent`, which is unbounded.
        beta: inverse temperature of NPO, above 0.
        divergence_weight: weight, at least 0, of the KL from the parent beside the NLL on the retained users.
        projection: the vectors that are projected in shared nodes: each A and each B (`tensor`), both of a module
            (`module`), or the whole group (`group`).

    Raises:
        InvalidMethodConfig: a value outside its choices or range.
    """

    circuit_share: float = 0.4
    counterfactual: CounterfactualKind = "pagerank_tail"
    restart: float = 0.15
    tail: float = 0.5
    integration_points: int = 1
    discovery_windows: int = 128
    forget: ForgetObjective = "npo"
    beta: float = 1.0
    divergence_weight: float = 1.0
    projection: ProjectionScope = "tensor"

    def __post_init__(self) -> None:
        super().__post_init__()
        for name, choices in _CHOICES.items():
            if getattr(self, name) not in get_args(choices):
                raise InvalidMethodConfig(
                    f"{name} is {getattr(self, name)!r}; choose one of {', '.join(get_args(choices))}"
                )
        for name in ("circuit_share", "tail"):
            if not 0 < getattr(self, name) <= 1:
                raise InvalidMethodConfig(f"{name} must lie in (0, 1], not {getattr(self, name)}")
        if not 0 < self.restart < 1:
            raise InvalidMethodConfig(f"restart must lie in (0, 1), not {self.restart}")
        if min(self.integration_points, self.discovery_windows) < 1:
            raise InvalidMethodConfig(f"integration_points and discovery_windows must be at least 1: {self}")
        if not (self.beta > 0 and self.divergence_weight >= 0):
            raise InvalidMethodConfig(f"beta must be positive and divergence_weight at least 0: {self}")


@dataclass(frozen=True)
class Cure:
    """Each group of nodes descends on its own loss; all other nodes stay as they are.

    Nodes that matter to the subjects only descend on the forget loss. Nodes that matter to the retained users only
    descend on the retain loss. Shared nodes descend on both, with the component of the forget gradient that opposes the
    retain gradient removed. The projection holds for the gradient of one batch, to first order, and not for the step:
    Adam rescales every coordinate afterwards, so a step can still raise the retain loss.

    The artefacts hold each node's effect on either side, `forget_effect.<module path>` and `retain_effect.…`.

    Measured (docs/benchmarks): it loses to doing nothing in `users-1`, with the strength that was tuned for `users-5`,
    and to the uniform shrink in `interactions-25`.
    """

    config: CureConfig = field(default_factory=CureConfig)
    name: ClassVar[str] = "cure"
    card: ClassVar[MethodCard] = MethodCard(
        title="CURE",
        paper="arXiv 2604.04982",
        cost_class="gradient",
        published_defaults="none that we could read",
        reconstruction="every formula: the paper's equations are not in what we could read; see `CureConfig`",
    )

    def cannot_edit(self, base: Base, adapter: Adapter) -> str | None:
        """It needs a token for each item, and an adapter of LoRA layers on linear maps alone.

        Its counterfactuals replace the tokens of items; a node is such a layer, and no other part would ever be chosen.
        """
        if not isinstance(base.style, ItemTokenStyle):
            return (
                f"its counterfactuals replace item by item, and {base.style.name} has no token for each item"
            )
        missing = without_activations(adapter)
        return None if missing is None else f"its nodes are activations, and {missing}"

    def run(
        self, task: ForgetTask, *, on_step: OnStep | None = None, should_stop: ShouldStop | None = None
    ) -> Candidate:
        """Discover the circuits of the parent, then take `steps` optimiser steps; the cost includes both.

        Raises:
            InvalidTask: the adapter holds parts that have no activation.
            Interrupted: `should_stop` answered yes.
        """
        problem = self.cannot_edit(task.base, task.adapter)
        if problem is not None:
            raise InvalidTask(f"this method cannot work here: {problem}")
        watch = Stopwatch()
        # The same model does the discovery, so that its counters include it.
        student = ChoiceModel(task.base, task.adapter, trainable=True)
        forget, retain = self._effects(task, student, on_step, should_stop)
        parent = ChoiceModel(task.base, task.adapter)
        candidate = descend(
            task,
            self.config,
            _GroupedGradient(self.config, circuits(forget, retain, self.config.circuit_share), parent),
            references=(parent,),
            student=student,
            on_step=on_step,
            should_stop=should_stop,
        )
        artefacts = {
            prefix + node: torch.tensor([effect])
            for prefix, effects in ((FORGET_PREFIX, forget), (RETAIN_PREFIX, retain))
            for node, effect in effects.items()
        }
        return replace(candidate, artefacts=artefacts, cost=replace(candidate.cost, seconds=watch.seconds))

    def _effects(
        self, task: ForgetTask, model: ChoiceModel, on_step: OnStep | None, should_stop: ShouldStop | None
    ) -> tuple[dict[str, float], dict[str, float]]:
        config = self.config
        counterfactual = _counterfactual(task, config)
        sides = [
            windows.sample(config.discovery_windows)
            for windows in (forget_windows(task, config), retain_windows(task, config))
        ]
        steps, step = sum(map(len, sides)), 0

        def before_batch() -> None:
            nonlocal step
            check_stop(should_stop)
            step += 1
            if on_step is not None:
                on_step(Progress("importance", step, steps))

        forget, retain = (
            node_effects(
                model, side, counterfactual, points=config.integration_points, before_batch=before_batch
            )
            for side in sides
        )
        return forget, retain


class _GroupedGradient:
    """Gives each group its own gradient. All other tensors have no gradient, so AdamW skips them."""

    def __init__(self, config: CureConfig, groups: Circuits, parent: ChoiceModel) -> None:
        self._config, self._parent = config, parent
        self._forget = _tensors_of(groups.forget)
        self._retain = _tensors_of(groups.retain)
        self._shared = _blocks(groups.shared, config.projection)

    def __call__(self, student: ChoiceModel, forget: Batch, retain: Batch) -> float:
        shared = [name for block in self._shared for name in block]
        climb, hold = self._forget_loss(student, forget), self._retain_loss(student, retain)
        down = _gradients(climb, student.parameters, [*self._forget, *shared])
        kept = _gradients(hold, student.parameters, [*self._retain, *shared])
        for name in self._forget:
            student.parameters[name].grad = down[name]
        for name in self._retain:
            student.parameters[name].grad = kept[name]
        for block in self._shared:
            freed = without_conflict([down[name] for name in block], [kept[name] for name in block])
            for name, one in zip(block, freed, strict=True):
                student.parameters[name].grad = one + kept[name]
        return float(climb.detach() + hold.detach())

    def _forget_loss(self, student: ChoiceModel, forget: Batch) -> Tensor:
        logits = student.logits(forget)
        if self._config.forget == "gradient_ascent":
            return losses.gradient_ascent(logits, forget.targets)
        policy = losses.log_likelihoods(logits, forget.targets, "item", forget.events)
        reference = losses.log_likelihoods(self._parent.logits(forget), forget.targets, "item", forget.events)
        return losses.negative_preference(policy, reference, self._config.beta)

    def _retain_loss(self, student: ChoiceModel, retain: Batch) -> Tensor:
        logits = student.logits(retain)
        held = losses.cross_entropy(logits, retain.targets)
        if self._config.divergence_weight == 0:
            return held
        drift = losses.divergence_from(self._parent.logits(retain), logits, retain.targets)
        return held + self._config.divergence_weight * drift


def without_conflict(forget: list[Tensor], retain: list[Tensor]) -> list[Tensor]:
    """`forget` without its component that opposes `retain`, each list read as one vector; unchanged without a conflict.

    The projection of arXiv 2001.06782, on one side only: the retain gradient stays whole.
    """
    product = sum((one * other).sum() for one, other in zip(forget, retain, strict=True))
    if product >= 0:
        return forget
    share = product / sum(other.square().sum() for other in retain)
    return [one - share * other for one, other in zip(forget, retain, strict=True)]


def _counterfactual(task: ForgetTask, config: CureConfig) -> Counterfactual:
    style = task.base.style
    if not isinstance(style, ItemTokenStyle):
        raise InvalidTask("this method cannot work here: not every item has a token of its own")
    if config.counterfactual == "popularity_matched":
        return PopularityMatched(style, task.retain, seed=task.seed)
    return PagerankTail(style, task.retain, restart=config.restart, tail=config.tail, seed=task.seed)


def _gradients(loss: Tensor, parameters: Mapping[str, nn.Parameter], names: list[str]) -> dict[str, Tensor]:
    if not names:
        return {}
    return dict(zip(names, torch.autograd.grad(loss, [parameters[name] for name in names]), strict=True))


def _tensors_of(nodes: tuple[str, ...]) -> list[str]:
    return [_MODULE_PREFIX + node + weight for node in nodes for weight in _WEIGHTS]


def _blocks(nodes: tuple[str, ...], scope: ProjectionScope) -> list[list[str]]:
    if scope == "group":
        return [_tensors_of(nodes)] if nodes else []
    if scope == "module":
        return [_tensors_of((node,)) for node in nodes]
    return [[name] for name in _tensors_of(nodes)]
