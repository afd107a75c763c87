"""A base in half precision, or in 4 or 8 bits, is served and trained as such, and is another base."""

import json
import shutil
from pathlib import Path

import pytest
import torch

from recommender import (
    Adapter,
    AdapterConfig,
    Base,
    ModelLoadError,
    Scorer,
    TrainingConfig,
    attach,
    canary_fingerprint,
    fingerprint_tolerance,
    fingerprints_match,
    fit_adapter,
    load_base,
)

SEQUENCES = [[(5 * user + step) % 24 for step in range(6)] for user in range(8)]
ADAPTER = AdapterConfig(r=4, alpha=8)
TRAINING = TrainingConfig(epochs=12, lr=3e-2, patience=None)


def in_precision(base_folder: Path, folder: Path, **says: str) -> Path:
    shutil.copytree(base_folder, folder)
    style = json.loads((folder / "style.json").read_text())
    (folder / "style.json").write_text(json.dumps({**style, **says}))
    return folder


def mean_nll(base: Base, adapter: Adapter | None) -> float:
    model = base.model if adapter is None else attach(base, adapter)
    return float(torch.cat(Scorer(model, base.style).item_nll(SEQUENCES)).mean())


def goes_the_whole_way(exact: Base, loaded: Base, tolerance: float) -> None:
    assert loaded.digest != exact.digest
    assert mean_nll(loaded, None) == pytest.approx(mean_nll(exact, None), abs=tolerance)
    before = mean_nll(loaded, None)
    adapter = fit_adapter(loaded, SEQUENCES, ADAPTER, TRAINING)
    assert all(tensor.dtype == torch.float32 for tensor in adapter.tensors.values())
    assert mean_nll(loaded, adapter) < before - 0.2
    # An adapter never changes the base, and two on it share its weights.
    assert mean_nll(loaded, None) == before
    models = [attach(loaded, adapter), attach(loaded, adapter)]
    shared = {id(tensor) for tensor in loaded.model.parameters()}
    for model in models:
        own = [name for name, tensor in model.named_parameters() if id(tensor) not in shared]
        assert own
        assert all(".lora_" in name for name in own)
    first, second = (canary_fingerprint(Scorer(model, loaded.style)) for model in models)
    assert fingerprints_match(first, second, 1e-6)
    # Another adapter, here none, is still another fingerprint.
    bare = canary_fingerprint(Scorer(loaded.model, loaded.style))
    assert not fingerprints_match(first, bare, fingerprint_tolerance(loaded))


def test_a_base_in_bfloat16(base: Base, base_folder: Path, tmp_path: Path) -> None:
    half = load_base(in_precision(base_folder, tmp_path / "half", precision="bfloat16"))
    assert {tensor.dtype for tensor in half.model.parameters()} == {torch.bfloat16}
    assert (fingerprint_tolerance(base), fingerprint_tolerance(half)) == (1e-3, 0.25)
    goes_the_whole_way(base, half, tolerance=0.02)


@pytest.mark.parametrize(("quantisation", "tolerance"), [("nf4", 0.1), ("int8", 0.02)])
def test_a_quantised_base(
    base: Base, base_folder: Path, tmp_path: Path, quantisation: str, tolerance: float
) -> None:
    modules = pytest.importorskip("bitsandbytes", reason="needs bitsandbytes: pip install '.[quantised]'").nn
    folder = in_precision(base_folder, tmp_path / "small", precision="bfloat16", quantisation=quantisation)
    small = load_base(folder)
    kind = modules.Linear4bit if quantisation == "nf4" else modules.Linear8bitLt
    quantised = [name for name, module in small.model.named_modules() if isinstance(module, kind)]
    assert quantised
    assert all("layers" in name for name in quantised)
    goes_the_whole_way(base, small, tolerance)


def test_without_the_library_a_quantised_base_says_what_to_install(
    base_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("recommender.precision.find_spec", lambda _: None)
    folder = in_precision(base_folder, tmp_path / "small", quantisation="nf4")
    with pytest.raises(ModelLoadError, match=r"needs bitsandbytes; install it with: pip install 'lethe"):
        load_base(folder)


@pytest.mark.parametrize(
    ("says", "message"),
    [
        ({"precision": "float16"}, "precision must be one of float32, bfloat16, got 'float16'"),
        ({"quantisation": "int4"}, "quantisation must be one of nf4, int8, got 'int4'"),
    ],
)
def test_numbers_that_we_do_not_know_are_refused(
    base_folder: Path, tmp_path: Path, says: dict[str, str], message: str
) -> None:
    with pytest.raises(ModelLoadError, match=message):
        load_base(in_precision(base_folder, tmp_path / "base", **says))
