"""The learning half on a GPU: the same answers as on the CPU, within float32's tolerance."""

import json
from pathlib import Path

import pytest
import torch

from recommender import (
    AdapterConfig,
    Base,
    BaseConfig,
    Scorer,
    SyntheticConfig,
    TrainingConfig,
    attach,
    build_base,
    fit_adapter,
    generate_synthetic,
    leave_two_out,
    load_base,
    save_base,
)
from unlearning import METHODS, ForgetTask, build_method, collect_statistics
from unlearning.attacks.predictions import item_log_likelihoods
from unlearning.evaluation.gains import smoothed

DATA = generate_synthetic(SyntheticConfig(users=60, items=120, tastes=10, seed=3))
SPLITS = [leave_two_out(DATA.items(user)) for user in sorted(DATA.histories)]
TRAINING = TrainingConfig(epochs=2, patience=None)
SHAPE = AdapterConfig(r=4, alpha=8)
SMOOTHING = 0.2


@pytest.fixture(scope="module")
def bases(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Base]:
    """The same base on both devices."""
    if not torch.cuda.is_available():
        pytest.skip("needs CUDA")
    folder = tmp_path_factory.mktemp("base")
    config = BaseConfig(layers=1, width=32, heads=2, feed_forward=64, window=32)
    model = build_base(DATA.catalogue, [split.train for split in SPLITS[:10]], config, TRAINING)
    save_base(model, DATA.catalogue, config.style(DATA.catalogue), folder)
    return {device: load_base(folder, device=device) for device in ("cpu", "cuda")}


def task_on(base: Base) -> ForgetTask:
    sequences = [split.train for split in SPLITS[10:]]
    adapter = fit_adapter(base, sequences, SHAPE, TRAINING)
    known = item_log_likelihoods(base, adapter, sequences[:3])
    return ForgetTask(
        base=base,
        adapter=adapter,
        forget=tuple(sequences[:3]),
        retain=tuple(sequences[3:]),
        retain_validation=tuple((split.train, split.validation) for split in SPLITS[13:]),
        statistics=collect_statistics(base, adapter, sequences),
        training=TRAINING,
        adapter_config=SHAPE,
        seed=0,
        never_seen_nll=tuple(
            float(smoothed(-own, SMOOTHING, len(DATA.catalogue)).mean()) + 0.5 for own in known
        ),
        smoothing=SMOOTHING,
    )


def test_an_adapter_scores_the_same_on_both_devices(bases: dict[str, Base]) -> None:
    adapter = task_on(bases["cpu"]).adapter
    histories = [split.train for split in SPLITS[:8]]
    scores = {
        device: Scorer(attach(base, adapter), base.style).scores(histories, mask_seen=False)
        for device, base in bases.items()
    }
    assert torch.allclose(scores["cuda"], scores["cpu"], rtol=1e-3, atol=1e-3)


def test_ucan_makes_the_same_edit_on_both_devices(bases: dict[str, Base]) -> None:
    on_cpu = task_on(bases["cpu"])
    on_cuda = ForgetTask(**{**vars(on_cpu), "base": bases["cuda"], "statistics": None})
    edits = [build_method("ucan", {}).run(task).adapter.tensors for task in (on_cpu, on_cuda)]
    for name, tensor in edits[0].items():
        assert torch.allclose(edits[1][name].cpu(), tensor, rtol=1e-3, atol=1e-4), name


def test_a_refit_runs_on_the_gpu_and_never_reads_the_subjects(bases: dict[str, Base]) -> None:
    task = task_on(bases["cuda"])
    other = ForgetTask(**{**vars(task), "forget": ((0, 1, 2),)})
    first, second = (build_method("refit", {}).run(each).adapter for each in (task, other))
    for name, tensor in first.tensors.items():
        assert torch.allclose(second.tensors[name], tensor, rtol=1e-3, atol=1e-3), name


@pytest.mark.parametrize(
    ("name", "config"),
    [
        *((name, {}) for name in METHODS if name not in ("refit", "sharded")),
        ("least_change", {"memory_weight": 0.5}),
    ],
)
def test_every_method_makes_the_same_model_on_both_devices(
    bases: dict[str, Base], name: str, config: dict[str, float]
) -> None:
    on_cpu = task_on(bases["cpu"])
    on_cuda = ForgetTask(**{**vars(on_cpu), "base": bases["cuda"], "statistics": None})
    histories = [split.train for split in SPLITS[:8]]
    scores = {}
    for device, task in (("cpu", on_cpu), ("cuda", on_cuda)):
        candidate = build_method(name, config).run(task)
        assert all(tensor.device.type == "cpu" for tensor in candidate.adapter.tensors.values())
        model = attach(bases["cpu"], candidate.adapter)
        scores[device] = Scorer(model, bases["cpu"].style).item_log_probs(histories)
    # AdamW turns rounding in small gradients into whole steps; what the model says is what has to agree.
    assert float((scores["cuda"] - scores["cpu"]).abs().mean()) < 0.05
    assert torch.isfinite(scores["cuda"]).all()


@pytest.mark.parametrize("quantisation", ["nf4", "int8"])
def test_a_quantised_base_is_fitted_and_read_on_the_gpu(tmp_path: Path, quantisation: str) -> None:
    if not torch.cuda.is_available():
        pytest.skip("needs CUDA")
    pytest.importorskip("bitsandbytes", reason="needs bitsandbytes: pip install '.[quantised]'")
    config = BaseConfig(layers=1, width=64, heads=2, feed_forward=64, window=32)
    model = build_base(DATA.catalogue, [split.train for split in SPLITS[:10]], config, TRAINING)
    save_base(model, DATA.catalogue, config.style(DATA.catalogue), tmp_path)
    exact = load_base(tmp_path, device="cuda")
    style = json.loads((tmp_path / "style.json").read_text())
    (tmp_path / "style.json").write_text(json.dumps({**style, "quantisation": quantisation}))
    small = load_base(tmp_path, device="cuda")
    sequences = [split.train for split in SPLITS[10:20]]
    before = [torch.cat(Scorer(base.model, base.style).item_nll(sequences)).mean() for base in (exact, small)]
    assert abs(float(before[0] - before[1])) < 0.1
    adapter = fit_adapter(small, sequences, SHAPE, TRAINING)
    after = torch.cat(Scorer(attach(small, adapter), small.style).item_nll(sequences)).mean()
    assert float(after) < float(before[1])
