"""How a version was fitted travels with it, whole (invariant I16), and old manifests are still read."""

import json

from recommender import AdapterConfig, TrainingConfig
from worker.versions import FitRecord


def test_all_of_the_shape_and_the_recipe_travel() -> None:
    shape = AdapterConfig(
        r=4,
        alpha=2.5,
        target_modules=r".*\.q_proj",
        dropout=0.2,
        options={
            "use_rslora": True,
            "rank_pattern": {"layers.0.self_attn.q_proj": 2},
            "alpha_pattern": {"layers.1.self_attn.q_proj": 0.5},
            "exclude_modules": ["lm_head"],
            "init_lora_weights": "gaussian",
        },
    )
    recipe = TrainingConfig(epochs=3, schedule="cosine", warmup_ratio=0.1, betas=(0.9, 0.95), patience=None)
    record = FitRecord(7, recipe, shape, excludes_up_to_epoch=2)
    assert FitRecord.from_plain(json.loads(json.dumps(record.to_plain(), sort_keys=True))) == record


def test_a_manifest_of_the_first_release_is_read() -> None:
    # Word for word what it wrote.
    written = {
        "adapter_config": {"alpha": 64, "dropout": 0.05, "r": 32, "target_modules": ["q_proj", "lm_head"]},
        "excludes_up_to_epoch": 1,
        "training": {
            "batch_size": 16,
            "epochs": 18,
            "lr": 0.003,
            "max_grad_norm": 1.0,
            "patience": 10,
            "schedule": "one_cycle",
            "seed": 0,
            "weight_decay": 0.01,
        },
        "watermark": 3,
    }
    record = FitRecord.from_plain(written)
    assert record == FitRecord(
        3,
        TrainingConfig(keeps="best_recall"),
        AdapterConfig(target_modules=("q_proj", "lm_head")),
        excludes_up_to_epoch=1,
    )
    assert record.to_plain() == written


def test_whom_a_fit_left_out_is_said_by_the_epoch_of_their_suppression() -> None:
    record = FitRecord(7, TrainingConfig(), AdapterConfig(), excludes_up_to_epoch=2)
    assert record.left_out({"a": 1, "b": 2, "c": 3}) == {"a", "b"}
