"""The cost of a change of the output layer for the retained users: how far it moves their predictions."""

from __future__ import annotations

import random
from dataclasses import dataclass

import torch
from torch import Tensor

from recommender import ItemTokenStyle
from recommender.batching import pad_right
from unlearning.methods.ladder.least_change_output.config import LeastChangeOutputConfig
from unlearning.methods.ladder.least_change_output.output_layer import OutputLayer
from unlearning.methods.ladder.least_change_output.rows import RowView
from unlearning.methods.method import ForgetTask
from unlearning.methods.shared.descent import RETAIN_SEED_OFFSET
from unlearning.progress import ShouldStop

# Half of the weight lies on each prompt's last position, which serving uses and no fit has trained on.
_SERVING_SHARE = 0.5


@dataclass(frozen=True)
class Retained:
    """Positions of a sample of retained users, from the prompts that serving would write for them.

    The cost of a change is the weighted mean divergence of the predictions from those `before` the edit, plus damping.
    Predictions need no target, so the last position of a prompt counts too: it is the one that serves the user.

    The curvature of the cost is approximated per row i by F_i C + D (C + c), in C's eigenvectors `axes`. Here
    F_i = E p_i (1 - p_i), C = E z z', D is the configured damping times the F of a mean item of the catalogue, and c is
    the mean of C's eigenvalues. D (C + c) is the damping. It keeps rows and directions that are missing from the sample
    from being free.
    """

    view: RowView
    weighted_inputs: Tensor
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
        prompts = _prompts(layer.style, task, config, generator)
        hidden, weights = [], []
        for start in range(0, len(prompts), config.batch_size):
            tokens, real = pad_right(prompts[start : start + config.batch_size], task.base.style.pad_token)
            inputs = layer.read(tokens, should_stop)
            last = torch.zeros_like(real).scatter_(-1, real.sum(-1, keepdim=True) - 1, 1)
            is_real = real.bool()
            hidden.append(inputs[is_real.to(inputs.device)])
            weights.append(last[is_real])
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
        """From the layer's inputs `hidden` [positions, width]; `serving` bool [positions] marks the last ones."""
        others = (~serving).nonzero().squeeze(-1).tolist()
        kept = sorted(generator.sample(others, min(len(others), config.retain_positions)))
        chosen = torch.cat([serving.nonzero().squeeze(-1), torch.tensor(kept, dtype=torch.int64)])
        served = len(chosen) - len(kept)
        share = _SERVING_SHARE if kept else 1.0
        weights = torch.full((len(chosen),), share / served)
        if kept:
            weights[served:] = (1.0 - share) / len(kept)
        weights = weights.to(hidden.device)
        view = RowView.of(layer, hidden[chosen.to(hidden.device)], rows, should_stop)
        inputs = view.inputs.double()
        values, axes = torch.linalg.eigh((inputs * weights.double().unsqueeze(-1)).T @ inputs)
        values = values.clamp(min=0.0).float()
        before, _ = view.predicted(torch.zeros(len(rows), len(layer.input_basis), device=hidden.device))
        uncertainty = weights @ (before * (1.0 - before))
        mean = (1.0 - view.certainty) / len(layer.weight)
        damping = config.damping * mean * (values + values.mean())
        return cls(
            view=view,
            weighted_inputs=view.inputs * weights.unsqueeze(-1),
            before=before,
            axes=axes.float(),
            damping=damping,
            metric=uncertainty.unsqueeze(-1) * values + damping,
        )

    @property
    def rank(self) -> int:
        """Dimension of z."""
        return len(self.axes)

    def probabilities(self, change: Tensor) -> Tensor:
        """Probabilities of the rows' items after a change, [positions, rows]."""
        return self.view.predicted(change)[0]

    def gradient(self, probabilities: Tensor, change: Tensor) -> Tensor:
        """Gradient of the cost at `change`, with the rows' `probabilities` there."""
        return (probabilities - self.before).T @ self.weighted_inputs + self._damped(change)

    def curvature(self, probabilities: Tensor, change: Tensor) -> Tensor:
        """Product of the cost's curvature with `change`: Gauss-Newton, which is the Fisher matrix of a softmax."""
        moved = self.view.inputs @ change.T
        moved -= (probabilities * moved).sum(-1, keepdim=True)
        return (probabilities * moved).T @ self.weighted_inputs + self._damped(change)

    def preconditioned(self, gradient: Tensor) -> Tensor:
        """The inverse of the metric times `gradient`."""
        return ((gradient @ self.axes) / self.metric) @ self.axes.T

    def _damped(self, change: Tensor) -> Tensor:
        return ((change @ self.axes) * self.damping) @ self.axes.T


def _prompts(
    style: ItemTokenStyle, task: ForgetTask, config: LeastChangeOutputConfig, generator: random.Random
) -> list[list[int]]:
    """Prompts of random retained users: at least `retain_prompts`, and enough for `retain_positions` positions besides
    the last ones; of everybody if there are fewer.
    """
    prompts, positions = list[list[int]](), 0
    for user in generator.sample(range(len(task.retain)), len(task.retain)):
        if len(prompts) >= config.retain_prompts and positions >= config.retain_positions:
            break
        prompts.append(style.encode(task.retain[user]))
        positions += len(prompts[-1]) - 1
    return prompts
