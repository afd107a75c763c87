"""What a change of the output layer costs the retained users: how far it moves their predictions."""

from __future__ import annotations

import random
from dataclasses import dataclass

import torch
from torch import Tensor

from recommender.batching import pad_right
from unlearning.methods.ladder.least_change_output.config import LeastChangeOutputConfig
from unlearning.methods.ladder.least_change_output.output_layer import OutputLayer
from unlearning.methods.ladder.least_change_output.rows import RowView
from unlearning.methods.method import ForgetTask
from unlearning.methods.shared.descent import RETAIN_SEED_OFFSET
from unlearning.progress import ShouldStop

# Half of the weight lies on what users will be asked next: a position that no fit has trained on.
_SERVING_SHARE = 0.5


@dataclass(frozen=True)
class Retained:
    """A sample of retained users' positions, as serving writes their prompts.

    The cost of a change is the weighted mean divergence of predictions from those `before` the edit, and a damping.
    Predictions need no target: so the last position of a prompt counts, which is what the user is served.

    A cheap stand-in for its curvature is (F_i + D) (C + c), row by row in C's own `axes`: F_i = E p_i (1 - p_i),
    C = E z z', D is `damping` times the F of a mean item of the catalogue and c the mean of C's eigenvalues, so that no
    row and no direction is free because the sample never met it. D (C + c) is the damping.
    """

    view: RowView
    weighted: Tensor
    before: Tensor
    axes: Tensor
    damping: Tensor
    metric: Tensor

    @classmethod
    def read(
        cls,
        layer: OutputLayer,
        task: ForgetTask,
        config: LeastChangeOutputConfig,
        rows: Tensor,
        should_stop: ShouldStop | None = None,
    ) -> Retained:
        """One forward over the prompts of random retained users.

        Raises:
            Interrupted: `should_stop` answered yes.
        """
        generator = random.Random(task.seed + RETAIN_SEED_OFFSET)
        prompts = _prompts(task, config, generator)
        hidden, weights = [], []
        for start in range(0, len(prompts), config.batch_size):
            tokens, real = pad_right(prompts[start : start + config.batch_size], task.base.style.pad_token)
            entering = layer.read(tokens, should_stop)
            last = torch.zeros_like(real).scatter_(-1, real.sum(-1, keepdim=True) - 1, 1)
            places = real.bool()
            hidden.append(entering[places.to(entering.device)])
            weights.append(last[places])
        return cls.of(
            layer, torch.cat(hidden), torch.cat(weights).bool(), rows, config, generator, should_stop
        )

    @classmethod
    def of(
        cls,
        layer: OutputLayer,
        hidden: Tensor,
        serving: Tensor,
        rows: Tensor,
        config: LeastChangeOutputConfig,
        generator: random.Random,
        should_stop: ShouldStop | None,
    ) -> Retained:
        """Of positions [positions, width], of which `serving` [positions] says which are served."""
        others = (~serving).nonzero().squeeze(-1).tolist()
        kept = sorted(generator.sample(others, min(len(others), config.retain_positions)))
        places = torch.cat([serving.nonzero().squeeze(-1), torch.tensor(kept, dtype=torch.int64)])
        asked = len(places) - len(kept)
        share = _SERVING_SHARE if kept else 1.0
        weights = torch.full((len(places),), share / asked)
        if kept:
            weights[asked:] = (1.0 - share) / len(kept)
        weights = weights.to(hidden.device)
        view = RowView.of(layer, hidden[places.to(hidden.device)], rows, should_stop)
        entering = view.entering.double()
        values, axes = torch.linalg.eigh((entering * weights.double().unsqueeze(-1)).T @ entering)
        values = values.clamp(min=0.0).float()
        before, _ = view.predicted(torch.zeros(len(rows), len(layer.entry), device=hidden.device))
        uncertainty = weights @ (before * (1.0 - before))
        mean = (1.0 - view.certainty) / len(layer.weight)
        damping = config.damping * mean * (values + values.mean())
        return cls(
            view=view,
            weighted=view.entering * weights.unsqueeze(-1),
            before=before,
            axes=axes.float(),
            damping=damping,
            metric=uncertainty.unsqueeze(-1) * values + damping,
        )

    @property
    def rank(self) -> int:
        """Of z."""
        return len(self.axes)

    def likely(self, change: Tensor) -> Tensor:
        """Probabilities of the rows' items after a change, [positions, rows]."""
        return self.view.predicted(change)[0]

    def slope(self, likely: Tensor, change: Tensor) -> Tensor:
        """Gradient of the cost at a change that makes the rows so `likely`."""
        return (likely - self.before).T @ self.weighted + self._damped(change)

    def curvature(self, likely: Tensor, change: Tensor) -> Tensor:
        """Curvature of the cost there, times a change: Gauss-Newton, which is the Fisher matrix of a softmax."""
        moved = self.view.entering @ change.T
        moved -= (likely * moved).sum(-1, keepdim=True)
        return (likely * moved).T @ self.weighted + self._damped(change)

    def cheapest(self, pull: Tensor) -> Tensor:
        """The metric's inverse times a gradient."""
        return ((pull @ self.axes) / self.metric) @ self.axes.T

    def _damped(self, change: Tensor) -> Tensor:
        return ((change @ self.axes) * self.damping) @ self.axes.T


def _prompts(task: ForgetTask, config: LeastChangeOutputConfig, generator: random.Random) -> list[list[int]]:
    """Of random users, at least `retain_prompts` and until they hold `retain_positions` positions besides the last,
    or of everybody.
    """
    prompts, positions = list[list[int]](), 0
    for user in generator.sample(range(len(task.retain)), len(task.retain)):
        if len(prompts) >= config.retain_prompts and positions >= config.retain_positions:
            break
        prompts.append(task.base.style.encode(task.retain[user]))
        positions += len(prompts[-1]) - 1
    return prompts
