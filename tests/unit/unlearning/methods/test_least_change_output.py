import math
from dataclasses import replace

import pytest
import torch
from torch import Tensor

from recommender import Adapter, AdapterConfig, Base, Interrupted, Split, TrainingConfig, attach, fit_adapter
from unlearning import ForgetTask, Progress
from unlearning.audit.predictions import item_log_likelihoods
from unlearning.errors import InvalidMethodConfig, InvalidTask
from unlearning.evaluation.gains import smoothed
from unlearning.methods.descent import ItemModel
from unlearning.methods.gradients import predicted_items, summed_loss
from unlearning.methods.least_change import LeastChange
from unlearning.methods.least_change_output import LeastChangeOutput
from unlearning.methods.least_change_output_config import LeastChangeOutputConfig
from unlearning.methods.least_change_output_solver import OutputSolver
from unlearning.methods.method import unmet_requirement
from unlearning.methods.output_layer import OutputLayer
from unlearning.methods.windows import Windows

Sequences = tuple[tuple[int, ...], ...]
UP = "base_model.model.lm_head.lora_B.weight"
DOWN = "base_model.model.lm_head.lora_A.weight"


def losses(task: ForgetTask, adapter: Adapter, sequences: Sequences) -> Tensor:
    """Each one's mean loss, smoothed as the task says."""
    found = item_log_likelihoods(task.base, adapter, sequences)
    return torch.stack([smoothed(-own, task.smoothing, len(task.base.catalogue)).mean() for own in found])


def asked(task: ForgetTask, more: float | Tensor) -> ForgetTask:
    levels = losses(task, task.adapter, task.forget) + more
    return replace(task, never_seen_nll=tuple(levels.tolist()))


def solver(task: ForgetTask, **config: float) -> OutputSolver:
    layer = OutputLayer(task.base, task.adapter)
    return OutputSolver(layer, task, LeastChangeOutputConfig(**config), None)


@pytest.mark.parametrize("smoothing", [0.0, 0.2])
def test_every_subject_reaches_its_own_level(task: ForgetTask, smoothing: float) -> None:
    wanted = asked(replace(task, smoothing=smoothing), torch.linspace(0.1, 0.6, 3, dtype=torch.float64))
    candidate = LeastChangeOutput(LeastChangeOutputConfig(rounds=6)).run(wanted)
    reached = losses(wanted, candidate.adapter, wanted.forget)
    gap = torch.tensor(wanted.never_seen_nll, dtype=torch.float64) - reached
    assert float(gap.abs().max()) < 0.02
    assert float(candidate.artefacts["gap"]) == pytest.approx(float(gap.square().mean().sqrt()), abs=1e-5)
