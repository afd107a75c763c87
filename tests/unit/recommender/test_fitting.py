import math
from dataclasses import replace

import pytest
import torch

from recommender import (
    Adapter,
    AdapterConfig,
    AdapterMismatch,
    Base,
    BaseConfig,
    ConfigError,
    Interrupted,
    Scorer,
    StepReport,
    TrainingConfig,
    attach,
    build_base,
    fit_adapter,
)

ADAPTER = AdapterConfig(r=4, alpha=8, dropout=0.1)
TRAINING = TrainingConfig(epochs=2, batch_size=4, lr=1e-2, seed=3)


def mean_nll(model: torch.nn.Module, base: Base, sequences: list[list[int]]) -> float:
    return float(torch.cat(Scorer(model, base.style).item_nll(sequences)).mean())


def test_an_adapter_learns_its_users_better_than_the_base_knows_them(
    base: Base, adapter: Adapter, sequences: list[list[int]]
):
    assert mean_nll(attach(base, adapter), base, sequences) < mean_nll(base.model, base, sequences) - 0.1


def test_fitting_leaves_the_base_and_the_random_generator_alone(base: Base, sequences: list[list[int]]):
    before = {name: tensor.clone() for name, tensor in base.model.state_dict().items()}
    state = torch.get_rng_state()
    fit_adapter(base, sequences, ADAPTER, TRAINING)
    assert torch.equal(torch.get_rng_state(), state)
    assert all(torch.equal(tensor, before[name]) for name, tensor in base.model.state_dict().items())
    assert not base.model.training


def test_a_fit_is_repeatable_bit_for_bit(base: Base, sequences: list[list[int]]):
    torch.manual_seed(0)
    first = fit_adapter(base, sequences, ADAPTER, TRAINING).to_bytes()
    torch.manual_seed(1)
    assert fit_adapter(base, sequences, ADAPTER, TRAINING).to_bytes() == first
    assert fit_adapter(base, sequences, ADAPTER, replace(TRAINING, seed=4)).to_bytes() != first


def test_without_patience_the_last_epoch_is_kept_and_nothing_is_validated(
    base: Base, sequences: list[list[int]]
):
    patient = replace(TRAINING, epochs=4, patience=None)
    validation = [(sequence[:-1], sequence[-1]) for sequence in sequences]
    reports: list[StepReport] = []
    kept = fit_adapter(
        base, sequences, ADAPTER, patient, validation=validation, on_step=reports.append
    ).to_bytes()
    assert kept == fit_adapter(base, sequences, ADAPTER, patient).to_bytes()
    assert {report.validation for report in reports} == {None}


def test_a_base_is_repeatable_bit_for_bit(base: Base, sequences: list[list[int]]):
    shape = BaseConfig(width=8, feed_forward=8, window=6)
    first, second = (build_base(base.catalogue, sequences, shape, TRAINING).state_dict() for _ in range(2))
    assert all(torch.equal(tensor, second[name]) for name, tensor in first.items())


def test_validation_reaches_the_reports_and_a_stop_the_loop(base: Base, sequences: list[list[int]]):
    reports: list[StepReport] = []
    held_out = [(sequence[:-1], sequence[-1]) for sequence in sequences]
    fit_adapter(base, sequences, ADAPTER, TRAINING, validation=held_out, on_step=reports.append)
    assert reports[0].validation is None
    validation = reports[-1].validation
    assert validation is not None
    # Higher is better, and nobody's loss is below that of a certain hit or above that of a certain miss.
    items = len(base.catalogue)
    assert math.log(0.2 / items) <= validation <= math.log(0.8 + 0.2 / items)
    with pytest.raises(Interrupted):
        fit_adapter(base, sequences, ADAPTER, TRAINING, should_stop=lambda: len(reports) > 0)


def test_the_epoch_is_kept_whose_held_out_loss_is_least_by_hand(base: Base, sequences: list[list[int]]):
    """And not the one with the most hits: everybody has a loss."""
    training = replace(TRAINING, epochs=4, patience=4)
    held_out = [(sequence[:-1], sequence[-1]) for sequence in sequences]

    def loss(adapter: Adapter) -> float:
        log_probs = Scorer(attach(base, adapter), base.style).item_log_probs(
            [history for history, _ in held_out]
        )
        chosen = [float(row[item].double().exp()) for row, (_, item) in zip(log_probs, held_out, strict=True)]
        return -sum(math.log(0.8 * p + 0.2 / log_probs.shape[1]) for p in chosen) / len(chosen)

    reports: list[StepReport] = []
    kept = fit_adapter(base, sequences, ADAPTER, training, validation=held_out, on_step=reports.append)
    seen = [report.validation for report in reports if report.validation is not None]
    # That of the last epoch is reported with no step; the kept one is at least as good as all that are.
    assert -loss(kept) >= max(seen) - 1e-6


def test_the_adapter_says_how_it_was_made(base: Base, sequences: list[list[int]]):
    config = AdapterConfig(r=2, alpha=6, target_modules="all-linear", dropout=0.0)
    adapter = fit_adapter(base, sequences, config, TRAINING)
    assert (adapter.config["r"], adapter.config["lora_alpha"]) == (2, 6)
    assert not any("lm_head" in name for name in adapter.tensors)
    assert attach(base, adapter).peft_config["default"].lora_alpha == 6


def test_modules_that_the_base_lacks_are_named(base: Base, sequences: list[list[int]]):
    with pytest.raises(AdapterMismatch, match="c_attn"):
        fit_adapter(base, sequences, AdapterConfig(target_modules=("c_attn",)), TRAINING)


@pytest.mark.parametrize(
    "fields", [{"r": 0}, {"alpha": 0}, {"dropout": 1.0}, {"dropout": -0.1}, {"target_modules": ()}]
)
def test_an_impossible_shape_is_refused(fields: dict[str, object]):
    with pytest.raises(ConfigError):
        AdapterConfig(**fields)  # type: ignore[arg-type]
