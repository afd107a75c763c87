"""Taking the operator's adapter: what is refused, what is asked to be confirmed, and what a trial fit says."""

import copy
import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from recommender import (
    Adapter,
    AdapterConfig,
    AdapterMismatch,
    Base,
    BaseConfig,
    ConfigError,
    InteractionData,
    Split,
    SyntheticConfig,
    TrainingConfig,
    build_base,
    fit_adapter,
    generate_synthetic,
    leave_two_out,
    load_base,
    save_base,
    split_panel,
)
from recommender.trained_rows import NO_ROWS, TrainedRows
from tests.listening import Heard
from unlearning import build_method, why_not
from worker.first_fit.adoption import Adopted, adopt, chosen_recipe
from worker.first_fit.errors import FirstFitError

SHAPE = AdapterConfig(r=8, alpha=12.5, dropout=0.1, options={"use_rslora": True})
SHAPE_SORTED = replace(SHAPE, target_modules=tuple(sorted(SHAPE.target_modules)))
RECIPE = TrainingConfig(epochs=16, lr=3e-3, batch_size=8, schedule="cosine", warmup_ratio=0.1, patience=None)


@pytest.fixture(scope="module")
def data() -> InteractionData:
    return generate_synthetic(SyntheticConfig(users=90, items=80, mean_length=12, min_length=5, tastes=4))


@pytest.fixture(scope="module")
def users(data: InteractionData) -> list[Split]:
    return [leave_two_out(data.items(user)) for user in split_panel(data, share=0.3, seed=0)[1]]


def made_base(data: InteractionData, folder: Path, seed: int) -> Base:
    config = BaseConfig(layers=2, width=32, heads=2, feed_forward=64, window=24)
    panel = [data.items(user) for user in split_panel(data, share=0.3, seed=0)[0]]
    model = build_base(data.catalogue, panel, config, TrainingConfig(epochs=15, patience=None, seed=seed))
    save_base(model, data.catalogue, config.style(data.catalogue), folder)
    return load_base(folder)


@pytest.fixture(scope="module")
def base(data: InteractionData, tmp_path_factory: pytest.TempPathFactory) -> Base:
    return made_base(data, tmp_path_factory.mktemp("a"), seed=0)


@pytest.fixture(scope="module")
def other_base(data: InteractionData, tmp_path_factory: pytest.TempPathFactory) -> Base:
    """Of the same shape, from another seed."""
    return made_base(data, tmp_path_factory.mktemp("b"), seed=1)


@pytest.fixture(scope="module")
def operators(base: Base, users: list[Split]) -> Adapter:
    return fit_adapter(base, [user.train for user in users], SHAPE, replace(RECIPE, seed=11))


@pytest.fixture
def folder(operators: Adapter, tmp_path: Path) -> Path:
    operators.save(tmp_path / "adapter")
    return tmp_path / "adapter"


@pytest.fixture
def heard() -> Heard:
    return Heard()


def test_a_refit_by_the_recipe_comes_near(base: Base, users: list[Split], folder: Path, heard: Heard) -> None:
    taken = adopt(base, folder, users, RECIPE, heard)
    assert taken.adapter_config == SHAPE_SORTED
    assert taken.training == RECIPE
    assert taken.likeness is not None
    assert taken.likeness.near
    assert heard.trained[-1].step == heard.trained[-1].steps
    assert heard.text.endswith("a re-fit comes near your adapter")
    for row in (
        "63 users",
        "nats per training event",
        "nats per held-out event",
        "held-out Recall@10",
        "NDCG@10",
    ):
        assert row in heard.text
    json.dumps(taken.likeness.to_plain(), allow_nan=False)


@pytest.mark.parametrize(
    ("recipe", "how"),
    [
        (replace(RECIPE, epochs=8), "less"),
        (replace(RECIPE, lr=3e-4), "less"),
        (replace(RECIPE, epochs=32), "more"),
    ],
)
def test_a_refit_by_another_recipe_does_not(
    base: Base,
    users: list[Split],
    folder: Path,
    recipe: TrainingConfig,
    how: str,
    heard: Heard,
) -> None:
    taken = adopt(base, folder, users, recipe, heard)
    assert taken.likeness is not None
    assert not taken.likeness.near
    assert f"a re-fit does NOT come near your adapter: it remembers {how} of them" in heard.text
    assert "pass the recipe of your training with --recipe" in heard.text


def test_without_a_trial_fit_nothing_is_trained_and_it_says_so(
    base: Base, users: list[Split], folder: Path, operators: Adapter, heard: Heard
) -> None:
    taken = adopt(base, folder, users, RECIPE, heard, trial_fit=False)
    assert (taken.likeness, heard.trained) == (None, [])
    assert taken.adapter.to_bytes() == operators.to_bytes()
    assert heard.text == "no trial fit: whether a re-fit comes near your adapter is not known"


def test_an_adapter_of_another_base_of_the_same_shape_is_refused_or_confirmed(
    other_base: Base, users: list[Split], folder: Path, heard: Heard
) -> None:
    with pytest.raises(
        FirstFitError, match=r"not predict these users' training events better.* nats per event with"
    ) as no:
        adopt(other_base, folder, users, RECIPE, heard)
    assert "--confirm-adapter" in str(no.value)
    assert not heard.trained
    taken = adopt(other_base, folder, users, RECIPE, heard, confirmed=True, trial_fit=False)
    assert isinstance(taken, Adopted)
    assert heard.text.startswith("confirmed: the adapter does not predict")


def test_an_adapter_of_other_users_is_refused(
    base: Base, data: InteractionData, tmp_path: Path, heard: Heard
) -> None:
    # Trained on what nobody here did: every history backwards, item by item another one.
    size = len(data.catalogue)
    strangers = [
        [size - 1 - (item * 7 + 3) % size for item in data.items(user)] for user in sorted(data.histories)
    ]
    fit_adapter(base, strangers, SHAPE, RECIPE).save(tmp_path)
    users = [leave_two_out(data.items(user)) for user in sorted(data.histories)]
    with pytest.raises(FirstFitError, match="of another base or of other users"):
        adopt(base, tmp_path, users, RECIPE, heard)


def test_a_base_folder_with_other_weights_is_refused_or_confirmed(
    base: Base, users: list[Split], operators: Adapter, tmp_path: Path, heard: Heard
) -> None:
    changed = copy.deepcopy(base.model)
    with torch.no_grad():
        changed.get_parameter("model.norm.weight")[0] += 0.1
    changed.save_pretrained(tmp_path / "theirs")
    named = {**operators.config, "base_model_name_or_path": str(tmp_path / "theirs")}
    Adapter(named, operators.tensors).save(tmp_path / "adapter")
    with pytest.raises(FirstFitError, match="theirs, whose weights are not those of the base in LETHE_BASE"):
        adopt(base, tmp_path / "adapter", users, RECIPE, heard)
    adopt(base, tmp_path / "adapter", users, RECIPE, heard, confirmed=True, trial_fit=False)
    assert "confirmed: the adapter was trained on" in heard.text


def test_a_base_that_cannot_be_compared_is_noted(
    base: Base, users: list[Split], operators: Adapter, tmp_path: Path, heard: Heard
) -> None:
    Adapter({**operators.config, "base_model_name_or_path": "shop/base"}, operators.tensors).save(tmp_path)
    adopt(base, tmp_path, users, RECIPE, heard, trial_fit=False)
    assert "the adapter names shop/base as its base, which cannot be compared with" in heard.text


def test_what_cannot_be_fitted_again_is_refused_before_any_training(
    base: Base, users: list[Split], operators: Adapter, tmp_path: Path, heard: Heard
) -> None:
    Adapter({**operators.config, "init_lora_weights": "eva"}, operators.tensors).save(tmp_path)
    with pytest.raises(AdapterMismatch, match="init_lora_weights='eva'"):
        adopt(base, tmp_path, users, RECIPE, heard)
    assert not heard.trained


@pytest.mark.parametrize("rows", [NO_ROWS, TrainedRows(head=((2, 82),))], ids=["embedding", "rows"])
def test_an_adapter_without_activations_is_taken_for_the_methods_that_need_none(
    base: Base, users: list[Split], tmp_path: Path, heard: Heard, rows: TrainedRows
) -> None:
    modules = ("q_proj",) if rows else ("embed_tokens", "q_proj")
    shape = AdapterConfig(r=4, alpha=8, target_modules=modules, rows=rows)
    fit_adapter(base, [user.train for user in users], shape, RECIPE).save(tmp_path)
    taken = adopt(base, tmp_path, users, RECIPE, heard)
    assert taken.adapter_config == shape
    assert heard.text.endswith("a re-fit comes near your adapter")
    fit = {name: why_not(build_method(name), base, taken.adapter) for name in ("ucan", "least_change")}
    assert "it contrasts activations, and the adapter has" in (fit["ucan"] or "")
    assert fit["least_change"] is None


def test_a_recipe_is_named_lies_in_the_folder_or_is_the_default(tmp_path: Path, heard: Heard) -> None:
    default = TrainingConfig(epochs=5)
    assert chosen_recipe(None, tmp_path, heard, default=default, epochs=None, seed=3) == TrainingConfig(
        epochs=5, seed=3
    )
    assert chosen_recipe(None, None, heard, default=default, epochs=2, seed=0) == TrainingConfig(epochs=2)
    (tmp_path / "training.json").write_text('{"epochs": 7, "lr": 0.01, "seed": 4}')
    inside = TrainingConfig(epochs=7, lr=0.01, seed=4)
    assert chosen_recipe(None, tmp_path, heard, default=default, epochs=None, seed=3) == inside
    assert "training.json" in heard.text
    named = tmp_path / "mine.json"
    named.write_text('{"epochs": 9}')
    assert chosen_recipe(named, tmp_path, heard, default=default, epochs=None, seed=3) == TrainingConfig(
        epochs=9
    )
    named.write_text('{"learning_rate": 9}')
    with pytest.raises(ConfigError, match="unknown fields: learning_rate"):
        chosen_recipe(named, tmp_path, heard, default=default, epochs=None, seed=3)
