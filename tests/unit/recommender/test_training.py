import json
import math
from collections.abc import Callable
from types import SimpleNamespace

import pytest
import torch
from torch import Tensor, nn

from recommender import ConfigError, DataError, Interrupted, ItemTokenStyle, StepReport, TrainingConfig
from recommender.training import train, training_loss

STYLE = ItemTokenStyle(3, window=4)


class NextItem(nn.Module):
    """Logits that depend on the current token only: the smallest model the loop can train."""

    def __init__(self) -> None:
        super().__init__()
        self.logits = nn.Embedding(STYLE.vocab_size, STYLE.vocab_size)
        nn.init.zeros_(self.logits.weight)

    def forward(self, input_ids: Tensor, *, use_cache: bool) -> SimpleNamespace:
        return SimpleNamespace(logits=self.logits(input_ids))


def run(epochs: int = 3, **options: object) -> tuple[NextItem, list[StepReport]]:
    model, reports = NextItem(), []
    config = TrainingConfig(epochs=epochs, batch_size=2, lr=0.1, patience=options.pop("patience", None))  # type: ignore[arg-type]
    train(model, STYLE, [[0, 1, 2], [0, 1], [1, 2, 0], [2]], config, on_step=reports.append, **options)  # type: ignore[arg-type]
    return model, reports


def test_the_loss_by_hand():
    # All logits zero: each of the three targets costs log(3), pad and bos have no share in the softmax, and the padded
    # position none in the mean.
    windows = [window for sequence in ([0, 1], [2]) for window in STYLE.windows(sequence)]
    loss = training_loss(NextItem(), windows, STYLE.pad_token)
    assert loss.item() == pytest.approx(math.log(3))


def test_the_loop_learns_what_comes_next():
    model, reports = run(epochs=60)
    assert reports[-1].loss < 0.5 < reports[0].loss
    # After item 0 (token 2) always came item 1 (token 3).
    assert int(model.logits.weight[2, 2:].argmax()) == 1


def test_every_step_is_reported():
    _, reports = run(epochs=3)
    assert [report.step for report in reports] == list(range(1, 7))
    assert {report.steps for report in reports} == {6}
    assert [report.epoch for report in reports] == [1, 1, 2, 2, 3, 3]
    assert {report.validation for report in reports} == {None}


def test_the_same_seed_gives_the_same_bits():
    assert torch.equal(run()[0].logits.weight, run()[0].logits.weight)


def _values(*values: float) -> Callable[[nn.Module], float]:
    remaining = iter(values)
    return lambda model: next(remaining)


def test_training_stops_after_epochs_without_a_better_value():
    _, reports = run(epochs=9, patience=2, validate=_values(0.1, 0.5, 0.5, 0.4))
    assert reports[-1].epoch == 4
    assert [report.validation for report in reports[::2]] == [None, 0.1, 0.5, 0.5]


def test_the_best_epoch_is_kept():
    seen: list[Tensor] = []
    values = iter([0.1, 0.9, 0.2])

    def validate(model: nn.Module) -> float:
        assert not model.training
        assert isinstance(model, NextItem)
        seen.append(model.logits.weight.detach().clone())
        return next(values)

    model, _ = run(epochs=3, validate=validate)
    assert torch.equal(model.logits.weight, seen[1])
    assert not model.training


def test_a_stop_is_honoured_at_once():
    answers = iter([False, False, True])
    with pytest.raises(Interrupted, match="step 2 of 6"):
        run(should_stop=lambda: next(answers))


def rates_of(**fields: object) -> tuple[list[float], dict[str, object]]:
    """The learning rate of each of ten steps, and what the optimiser was made with."""
    rates: list[float] = []
    made: dict[str, object] = {}

    class Recorder(torch.optim.AdamW):
        def __init__(self, parameters: object, **options: object) -> None:
            made.update(options)
            super().__init__(parameters, **options)  # type: ignore[arg-type]

        def step(self, closure: object = None) -> None:  # type: ignore[override]
            rates.append(self.param_groups[0]["lr"])
            super().step()

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(torch.optim, "AdamW", Recorder)
        train(NextItem(), STYLE, [[0, 1]], TrainingConfig(epochs=10, batch_size=1, lr=0.1, **fields))  # type: ignore[arg-type]
    return rates, made


def test_one_cycle_rises_and_falls():
    rates, made = rates_of()
    assert max(rates) == pytest.approx(0.1, rel=0.05)
    assert rates[0] == pytest.approx(0.1 / 25)
    assert rates[-1] < max(rates) / 10
    assert made["betas"] == (0.9, 0.999)


# Two of ten steps warm up: 0, 1/2; then the other eight fall from 1 to 1/8, or along half a cosine.
@pytest.mark.parametrize(
    ("schedule", "after"),
    [
        ("constant", [1.0] * 8),
        ("linear", [1 - step / 8 for step in range(8)]),
        ("cosine", [0.5 + 0.5 * math.cos(math.pi * step / 8) for step in range(8)]),
    ],
)
def test_schedules_with_a_warm_up(schedule: str, after: list[float]):
    rates, made = rates_of(schedule=schedule, warmup_ratio=0.2, betas=(0.9, 0.95))
    assert rates == pytest.approx([0.1 * share for share in [0.0, 0.5, *after]])
    assert made["betas"] == (0.9, 0.95)
    assert rates_of(schedule="constant")[0] == [0.1] * 10


def test_the_json_of_a_recipe_is_the_first_releases_until_it_says_more():
    first = {"epochs", "lr", "batch_size", "schedule", "weight_decay", "max_grad_norm", "patience", "seed"}
    assert TrainingConfig(patience=None).to_plain().keys() == first
    recipe = TrainingConfig(schedule="cosine", warmup_ratio=0.1, betas=(0.9, 0.95))
    plain = json.loads(json.dumps(recipe.to_plain()))
    assert plain.keys() == first | {"warmup_ratio", "betas", "keeps"}
    assert TrainingConfig.from_plain(plain) == recipe


def test_what_an_earlier_release_fitted_is_fitted_again_by_its_own_rule():
    plain = {name: value for name, value in TrainingConfig().to_plain().items() if name != "keeps"}
    assert TrainingConfig.from_plain(plain).keeps == "best_recall"
    assert TrainingConfig.from_plain(TrainingConfig().to_plain()) == TrainingConfig()
    assert TrainingConfig.from_plain(TrainingConfig(patience=None).to_plain()) == TrainingConfig(
        patience=None
    )


@pytest.mark.parametrize("sequences", [[], [[]]])
def test_nothing_to_train_on_is_an_error(sequences: list[list[int]]):
    with pytest.raises(DataError, match="nothing to train on"):
        train(NextItem(), STYLE, sequences, TrainingConfig())


@pytest.mark.parametrize(
    "fields",
    [
        {"epochs": 0},
        {"batch_size": 0},
        {"patience": 0},
        {"lr": 0.0},
        {"lr": math.nan},
        {"weight_decay": -1.0},
        {"max_grad_norm": 0.0},
        {"schedule": "polynomial"},
        {"schedule": "linear", "warmup_ratio": 1.0},
        {"schedule": "linear", "betas": (0.9,)},
        {"schedule": "linear", "betas": (0.9, 1.0)},
        {"warmup_ratio": 0.1},
        {"betas": (0.9, 0.95)},
    ],
)
def test_impossible_settings_are_refused(fields: dict[str, object]):
    with pytest.raises(ConfigError):
        TrainingConfig(**fields)  # type: ignore[arg-type]
