"""An adapter's whole configuration: kept, written as JSON, and fitted again as it was (invariant I16)."""

import json
import random
import warnings
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest
import torch
from peft import LoraConfig, PeftModel

from recommender import (
    Adapter,
    AdapterConfig,
    AdapterMismatch,
    Base,
    ConfigError,
    TrainingConfig,
    attach,
    check_compatible,
    fit_adapter,
    load_base,
)
from recommender.adapters import trainable
from recommender.fitting import _seeded
from recommender.training import train

TRAINING = TrainingConfig(epochs=1, batch_size=4, lr=1e-2, patience=None, seed=3)
LINEAR = [
    "q_proj",
    "k_proj",
    "v_proj",
    "o_proj",
    "gate_proj",
    "up_proj",
    "down_proj",
    "lm_head",
    "embed_tokens",
]
# What a fit writes by itself: who read the file, and the state it was saved in.
OF_THE_FILE = {"inference_mode", "peft_version", "base_model_name_or_path", "auto_mapping", "revision"}


def peft_saves(base_folder: Path, config: LoraConfig, folder: Path) -> Adapter:
    """What PEFT itself writes for a fresh adapter, every tensor moved away from its start."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model = PeftModel(load_base(base_folder).model, config)
        with torch.no_grad():
            for parameter in model.parameters():
                if parameter.requires_grad:
                    parameter += torch.randn_like(parameter) * 0.01
        model.save_pretrained(folder, save_embedding_layers=False)
    return Adapter.load(folder)


def draw_config(seed: int) -> LoraConfig:
    """A plain LoRA configuration: any mixture of the options that such adapters come with."""
    draw = random.Random(seed)
    modules = draw.sample(LINEAR, draw.randint(1, len(LINEAR)))
    first = modules[0]
    options: dict[str, Any] = {}
    style = draw.choice(["list", "list", "all-linear", "regex"])
    if style == "all-linear":
        modules, first = "all-linear", "up_proj"  # type: ignore[assignment]
    elif style == "regex":
        modules, first = r".*\.(q_proj|down_proj)", "q_proj"  # type: ignore[assignment]
    elif set(modules) - {"lm_head", "embed_tokens"} and draw.random() < 0.4:
        first = min(set(modules) - {"lm_head", "embed_tokens"})
        options["layers_to_transform"] = draw.choice([0, [1], [0, 1]])
        if draw.random() < 0.5:
            options["layers_pattern"] = draw.choice(["layers", ["layers"]])
    elif len(modules) > 1 and draw.random() < 0.4:
        options["exclude_modules"] = draw.choice([[modules[-1]], rf"(.*\.)?{modules[-1]}"])
    even = draw.choice([True, False])
    if draw.random() < 0.5:
        options["rank_pattern"] = {first: draw.choice([2, 6])}
    if draw.random() < 0.5:
        options["alpha_pattern"] = {first: draw.choice([1, 0.5, 24])}
    return LoraConfig(
        r=draw.choice([2, 4, 8]) if even else 3,
        lora_alpha=draw.choice([8, 16, 0.25, 12.5]),  # type: ignore[arg-type]
        lora_dropout=draw.choice([0.0, 0.05, 0.3]),
        target_modules=modules,
        use_rslora=draw.choice([True, False]),
        init_lora_weights=draw.choice(
            [True, False, "gaussian", "orthogonal"] if even else [True, "gaussian"]
        ),
        task_type=draw.choice(["CAUSAL_LM", None]),
        **options,
    )


@pytest.mark.parametrize("seed", range(24))
def test_a_refit_has_the_same_configuration_and_tensors(
    base: Base, base_folder: Path, sequences: list[list[int]], tmp_path: Path, seed: int
):
    operators = peft_saves(base_folder, draw_config(seed), tmp_path)
    check_compatible(base, operators)
    config = AdapterConfig.of(operators)
    refitted = fit_adapter(base, sequences, config, TRAINING)
    check_compatible(base, refitted)
    ours, theirs = (
        {name: value for name, value in adapter.config.items() if name not in OF_THE_FILE}
        for adapter in (
            refitted,
            Adapter({**operators.config, **_sorted(operators.config)}, operators.tensors),
        )
    )
    assert ours == theirs
    assert {name: tensor.shape for name, tensor in refitted.tensors.items()} == {
        name: tensor.shape for name, tensor in operators.tensors.items()
    }
    scales = [
        {
            name: module.scaling
            for name, module in attach(base, adapter).named_modules()
            if hasattr(module, "scaling")
        }
        for adapter in (refitted, operators)
    ]
    assert scales[0] == scales[1]
    assert AdapterConfig.of(refitted) == config
    assert AdapterConfig.from_plain(json.loads(json.dumps(config.to_plain(), sort_keys=True))) == config


def _sorted(config: Any) -> dict[str, Any]:
    """PEFT writes sets in any order."""
    return {
        name: sorted(config[name])
        for name in ("target_modules", "exclude_modules")
        if isinstance(config[name], list)
    }


def test_a_fit_on_the_defaults_is_the_one_it_always_was(base: Base, sequences: list[list[int]]):
    # What the first release handed to PEFT, word for word.
    config = AdapterConfig()
    peft = LoraConfig(
        r=32,
        lora_alpha=64,
        target_modules=LINEAR[:-1],
        lora_dropout=0.05,
        task_type="CAUSAL_LM",
    )
    assert config.to_peft() == peft
    with _seeded(TRAINING.seed, base.model.device):
        model = trainable(base, peft)
        train(model, base.style, sequences, TRAINING)
    expected = Adapter.from_peft(model)
    fitted = fit_adapter(base, sequences, config, TRAINING)
    assert fitted.to_bytes() == expected.to_bytes()
    assert fitted.config == expected.config


def test_the_json_of_a_shape_without_options_is_the_first_releases():
    assert AdapterConfig().to_plain() == {
        "r": 32,
        "alpha": 64,
        "target_modules": LINEAR[:-1],
        "dropout": 0.05,
    }
    old = {"r": 8, "alpha": 16, "target_modules": "all-linear", "dropout": 0.1}
    assert AdapterConfig.from_plain(old) == AdapterConfig(8, 16, "all-linear", 0.1)


def test_options_at_their_default_are_no_options():
    spelt_out = {"rank_pattern": {}, "alpha_pattern": None, "use_rslora": False, "init_lora_weights": True}
    assert AdapterConfig(options=spelt_out) == AdapterConfig()
    assert hash(AdapterConfig(options=spelt_out)) == hash(AdapterConfig())
    assert AdapterConfig(options={"use_rslora": True}) != AdapterConfig()
    assert asdict(AdapterConfig(options={"exclude_modules": {"b", "a"}}))["options"] == {
        "exclude_modules": ["a", "b"]
    }


@pytest.mark.parametrize(
    "options",
    [
        {"use_dora": True},
        {"bias": "all"},
        {"init_lora_weights": "pissa"},
        {"init_lora_weights": "eva"},
        {"rank_pattern": {"q_proj": 0}},
        {"rank_pattern": {"q_proj": 1.5}},
        {"rank_pattern": ["q_proj"]},
        {"alpha_pattern": {"q_proj": -1}},
        {"layers_pattern": "layers"},
        {"task_type": "NO_SUCH_TASK"},
    ],
)
def test_what_is_not_plain_lora_is_no_option(options: dict[str, Any]):
    with pytest.raises(ConfigError):
        AdapterConfig(options=options)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"init_lora_weights": "eva"}, "init_lora_weights='eva' is a start that a re-fit cannot repeat"),
        ({"init_lora_weights": "pissa_niter_4"}, "init_lora_weights='pissa_niter_4' changes the base"),
        ({"init_lora_weights": None}, "init_lora_weights=None"),
        ({"rank_pattern": {"q_proj": 2.5}}, "rank_pattern needs a positive whole number"),
        ({"rank_pattern": ["q_proj"]}, "rank_pattern must map"),
        ({"alpha_pattern": {"q_proj": "8"}}, "alpha_pattern needs a positive number"),
        ({"target_modules": None}, "needs target_modules"),
        ({"r": 4.5}, "positive r"),
        ({"lora_alpha": float("inf")}, "positive lora_alpha"),
        ({"use_qalora": True}, "not plain LoRA: use_qalora"),
    ],
)
def test_what_cannot_be_fitted_again_is_refused_by_name(
    adapter: Adapter, change: dict[str, Any], message: str
):
    with pytest.raises(AdapterMismatch, match=message):
        AdapterConfig.of(Adapter({**adapter.config, **change}, adapter.tensors))


def test_options_that_are_null_are_not_set(base: Base, adapter: Adapter):
    null = dict.fromkeys(("rank_pattern", "alpha_pattern", "use_rslora", "lora_dropout", "layers_pattern"))
    check_compatible(base, Adapter({**adapter.config, **null}, adapter.tensors))
    assert AdapterConfig.of(Adapter({**adapter.config, **null}, adapter.tensors)) == replace(
        AdapterConfig.of(adapter), dropout=0.0
    )


def test_a_pattern_that_is_no_pattern_is_refused_in_one_line(base: Base, adapter: Adapter):
    for change in ({"target_modules": "("}, {"exclude_modules": "("}, {"rank_pattern": {"(": 4}}):
        with pytest.raises(AdapterMismatch, match="does not fit this base"):
            check_compatible(base, Adapter({**adapter.config, **change}, adapter.tensors))
