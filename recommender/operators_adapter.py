"""An operator's adapter: remove base weights saved with it, check that it can be re-fitted, find its base.

Lethe's own adapters do not need this: `Adapter.from_peft` takes LoRA tensors only.
"""

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Literal

import torch
from peft.utils.other import get_pattern_key
from safetensors import SafetensorError, safe_open
from torch import Tensor
from transformers import PreTrainedModel

from recommender.adapter_config import AdapterConfig
from recommender.adapters import Adapter, check_compatible, trainable
from recommender.base import Base
from recommender.errors import AdapterMismatch

_PREFIX = "base_model.model."
_WRAPPED = ".base_layer."


def adopted(base: Base, adapter: Adapter) -> Adapter:
    """`adapter` with its LoRA tensors alone.

    PEFT's `save_pretrained` also saves the base's embedding or output layer if an adapter targets it or if the
    vocabulary differs from the one on disk. If those weights equal the base's, they can be left out.

    Raises:
        AdapterMismatch: the folder holds changed weights of the base, in which no edit of an adapter can forget, or the
            result of its patterns depends on the order of names.
    """
    for option in ("rank_pattern", "alpha_pattern"):
        check_order(base.model, option, adapter.config.get(option) or {})
    own = base.model.state_dict()
    kept = {}
    for name, tensor in adapter.tensors.items():
        # A module with LoRA is wrapped, and its own weight is one level deeper.
        place = name.removeprefix(_PREFIX).replace(_WRAPPED, ".")
        if ".lora_" in name or place not in own:
            kept[name] = tensor
        elif not same_values(own[place], tensor):
            raise AdapterMismatch(
                f"the adapter folder holds a changed {_kind(base, place)} ({name}), which Lethe cannot forget in:"
                " train LoRA on that layer instead, or, of an embedding or output layer, make what it has learnt a part"
                " of the adapter with lethe import"
            )
    return adapter.replace(kept)


def refittable(base: Base, adapter: Adapter) -> AdapterConfig:
    """The configuration of `adapter`, checked by making an untrained adapter from it. The base is not changed.

    Raises:
        AdapterMismatch: it does not fit this base, or a re-fit would make another kind of adapter.
    """
    check_compatible(base, adapter)
    config = AdapterConfig.of(adapter)
    with torch.random.fork_rng(devices=[]):
        again = Adapter.from_peft(trainable(base, config.to_peft(), config.rows))
    check_compatible(base, again)
    if _shapes(again) != _shapes(adapter):
        raise AdapterMismatch("a re-fit by this adapter's configuration would give tensors of other shapes")
    return config


Origin = Literal["same", "other", "unknown"]


def origin(base: Base, adapter: Adapter) -> tuple[Origin, str]:
    """Whether the base that `adapter` names is this one, and the name (empty if it names none).

    A local folder is compared weight by weight, as far as it holds safetensors. Of a hub id, only the id and the
    commit can be compared.
    """
    named, revision = adapter.config.get("base_model_name_or_path"), adapter.config.get("revision")
    if not isinstance(named, str) or not named:
        return "unknown", ""
    if Path(named).is_dir():
        return _holds(Path(named), base), named
    ours = getattr(base.model.config, "_commit_hash", None)
    commits = {commit for commit in (revision, ours) if isinstance(commit, str) and len(commit) == 40}
    return ("same" if named == base.model.name_or_path and len(commits) < 2 else "unknown"), named


def _holds(directory: Path, base: Base) -> Origin:
    own, compared = base.model.state_dict(), False
    try:
        for name, tensor in _weights(directory, own):
            if not same_values(own[name], tensor):
                return "other"
            compared = True
    except (SafetensorError, OSError):
        return "unknown"
    return "same" if compared else "unknown"


def _weights(directory: Path, wanted: Mapping[str, Tensor]) -> Iterator[tuple[str, Tensor]]:
    for path in sorted(directory.glob("model*.safetensors")):
        with safe_open(path, framework="pt") as file:
            for name in file.keys():  # noqa: SIM118  (not a mapping)
                # Quantised weights differ from the numbers in the file.
                if name in wanted and wanted[name].is_floating_point():
                    yield name, file.get_tensor(name)


def same_values(ours: Tensor, theirs: Tensor) -> bool:
    """Whether both are equal in the coarser of their precisions: a folder may be saved in half precision."""
    return (
        ours.shape == theirs.shape and theirs.is_floating_point() and not bool(differing(ours, theirs).any())
    )


def differing(ours: Tensor, theirs: Tensor) -> Tensor:
    """Where two tensors of one shape differ in the coarser of their precisions, bool, on the CPU."""
    coarse = min((ours.dtype, theirs.dtype), key=lambda dtype: dtype.itemsize)
    return ours.detach().cpu().to(coarse) != theirs.detach().cpu().to(coarse)


def _kind(base: Base, name: str) -> str:
    model = base.model
    for kind, layer in (
        ("embedding layer", model.get_input_embeddings()),
        ("output layer", model.get_output_embeddings()),  # type: ignore[no-untyped-call]
    ):
        if model.get_submodule(name.rpartition(".")[0]) is layer:
            return kind
    return "layer of the base"


def check_order(model: PreTrainedModel, option: str, pattern: Mapping[str, Any]) -> None:
    """Refuse a pattern whose result depends on the order of names: PEFT takes the first match, JSON has no order.

    Raises:
        AdapterMismatch: two names match one module of `model`, with different numbers.
    """
    if not isinstance(pattern, Mapping) or list(pattern) == sorted(pattern):
        return
    for module, _ in model.named_modules():
        try:
            first, kept = (get_pattern_key(names, module) for names in (list(pattern), sorted(pattern)))
        except re.error:
            return  # refused with the reason when the adapter is put on its base
        if pattern.get(first) != pattern.get(kept):
            raise AdapterMismatch(
                f"{option} names {module} twice with different numbers ({first!r} and {kept!r}); name it once"
            )


def _shapes(adapter: Adapter) -> dict[str, tuple[int, ...]]:
    return {name: tuple(tensor.shape) for name, tensor in adapter.tensors.items()}
