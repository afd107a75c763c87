"""A version whose adapter has trained rows is stored, named and read like any other."""

from __future__ import annotations

from pathlib import Path

import torch

from model_store import ADAPTER_WEIGHTS, MemoryStore
from recommender import (
    Adapter,
    AdapterConfig,
    BaseConfig,
    Catalogue,
    TrainingConfig,
    draw_base,
    fit_adapter,
    load_base,
    save_base,
)
from recommender.trained_rows import TrainedRows
from worker.versions import FitRecord, load_version, store_version


def test_rows_travel_with_the_version(tmp_path: Path) -> None:
    names = tuple(f"i{item}" for item in range(10))
    catalogue, shape = Catalogue(names, names), BaseConfig(1, 16, 2, 32, 8)
    save_base(draw_base(catalogue, shape, seed=0), catalogue, shape.style(catalogue), tmp_path / "base")
    base = load_base(tmp_path / "base")
    rows = TrainedRows(embed=((2, 12),), head=((3, 5), (7, 8)))
    config = AdapterConfig(r=2, alpha=4, target_modules=("q_proj",), rows=rows)
    training = TrainingConfig(epochs=1, patience=None)
    adapter = fit_adapter(base, [[1, 2, 3, 4], [5, 6, 7]], config, training)
    store, fit = MemoryStore(), FitRecord(0, training, config)

    def stored(one: Adapter) -> str:
        return store_version(
            store,
            base,
            one,
            parent=None,
            forget_epoch=0,
            method="fit",
            config={},
            report={},
            policy_hash=None,
            fit=fit,
            readership=None,
            artefacts={},
        )

    digest = stored(adapter)
    loaded = load_version(store, digest)
    assert loaded.adapter.rows == rows
    assert loaded.adapter.to_bytes() == adapter.to_bytes()
    assert loaded.fit.adapter_config == config
    moved = adapter.replace({**adapter.tensors, "head_rows": adapter.tensors["head_rows"] + torch.eye(3, 16)})
    weights = [store.read_manifest(one).blobs[ADAPTER_WEIGHTS] for one in (digest, stored(moved))]
    assert weights[0] != weights[1]
