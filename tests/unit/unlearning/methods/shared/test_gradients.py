import math

import pytest
import torch

from recommender import Interrupted
from recommender.choices import IGNORED
from tests.unit.unlearning.methods.free_logits import asking_for, free_logits
from unlearning import ForgetTask
from unlearning.methods.shared.gradients import predicted_items, summed_gradient, summed_loss
from unlearning.methods.shared.windows import Windows


def test_the_loss_adds_up_what_is_predicted() -> None:
    # Three tokens, two items: 3/4 and 1/5 for the items asked for, the last position asks for nothing.
    logits = torch.tensor([[[0.0, math.log(3)], [math.log(4), 0.0], [9.0, 0.0]]])
    loss = summed_loss(logits, torch.tensor([[1, 1, IGNORED]]))
    assert loss.item() == pytest.approx(math.log(4 / 3) + math.log(5))


def test_gradients_of_windows_add_up() -> None:
    # p = (1/4, 3/4): asking for item 0 gives p - (1, 0) = (-3/4, 3/4), asking for item 1 gives (1/4, -1/4).
    model = free_logits(0.0, math.log(3))
    gradient = summed_gradient(model, [asking_for(0, 1), asking_for(1)])["logits"]
    torch.testing.assert_close(gradient, torch.tensor([-0.25, 0.25]))
    assert (model.forwards, model.backwards) == (2, 2)
    assert predicted_items([asking_for(0, 1), asking_for(1)]) == 3


def test_it_can_be_stopped_between_batches() -> None:
    with pytest.raises(Interrupted):
        summed_gradient(free_logits(0.0, 0.0), [asking_for(0)], should_stop=lambda: True)


def test_a_sample_holds_different_windows_and_never_more_than_there_are(task: ForgetTask) -> None:
    def windows() -> Windows:
        return Windows(task.base.style, task.retain, batch_size=8, seed=0)

    assert sum(batch.rows for batch in windows().sample(10)) == 16
    everything = windows().sample(10_000)
    assert sum(batch.rows for batch in everything) == len(windows())
    assert predicted_items(everything) == sum(map(len, task.retain))
