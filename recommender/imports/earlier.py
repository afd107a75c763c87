"""An earlier adapter, on which the operator's was trained: it becomes a part of the base.

Without it, a re-fit and every control would start from a base that lacks what the earlier one had taught.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Any

import torch
from peft import PeftModel
from peft.tuners.lora.layer import LoraLayer
from torch import Tensor, nn
from transformers import PreTrainedModel

from recommender.adapters import Adapter, attach_to
from recommender.errors import AdapterMismatch
from recommender.imports.report import Report
from recommender.trained_rows import EMBED_ROWS, HEAD_ROWS, embedding_of, head_of, indices_of

# Two adapters that started from different random numbers are 1.4 times as far from each other as from zero.
_CONTINUED = 0.7
_SCALE = ("r", "lora_alpha", "rank_pattern", "alpha_pattern", "use_rslora")


def merge(model: PreTrainedModel, earlier: Adapter, report: Report) -> None:
    """Add `earlier` to the weights of `model`, in float32.

    Raises:
        AdapterMismatch: the base ties its embedding and output layer, and `earlier` changes one of them alone.
    """
    rows, tensors = earlier.rows, earlier.tensors
    embedding, head = embedding_of(model)[1], head_of(model)[1]
    changes = list(_changes(attach_to(model, earlier)))
    touched = any(weight is embedding.weight for weight, _ in changes) or (bool(rows) and not rows.tied)
    if embedding.weight is head.weight and touched:
        raise AdapterMismatch(
            "the earlier adapter changes the embedding or the output layer alone, and the base ties them: merged, it"
            " would change both; save the base untied first"
        )
    with torch.no_grad():
        for weight, change in changes:
            weight.copy_((weight.float() + change.float()).to(weight.dtype))
        for layer, spans, name in ((embedding, rows.embed, EMBED_ROWS), (head, rows.head, HEAD_ROWS)):
            if spans:
                places = indices_of(spans)
                layer.weight[places] = (layer.weight[places].float() + tensors[name]).to(layer.weight.dtype)
    kept = str(embedding.weight.dtype).removeprefix("torch.")
    rounded = "" if kept == "float32" else f", and rounded to {kept}"
    report.add(
        "earlier adapter",
        "merged",
        f"added in float32 to {len(changes)} weights of the base{rounded}: re-fits and controls start from there",
    )


def continues(earlier: Mapping[str, Tensor], later: Mapping[str, Tensor]) -> bool:
    """Whether `later` was trained on from the tensors of `earlier`, and so holds what that one had taught.

    Otherwise it was trained beside it, on a base with `earlier` merged in. Both are LoRA tensors by name.
    """
    downs = [name for name in later if ".lora_A" in name or ".lora_embedding_A" in name]
    if not downs or any(name not in earlier or earlier[name].shape != later[name].shape for name in downs):
        return False
    apart = sum(float((later[name].float() - earlier[name].float()).square().sum()) for name in downs)
    return apart < _CONTINUED**2 * sum(float(earlier[name].float().square().sum()) for name in downs)


def difference(earlier: Adapter, later: Adapter, report: Report) -> Adapter:
    """What `later` adds to a base with `earlier` merged in: B' A' - B A, which is one LoRA of twice the rank.

    Raises:
        AdapterMismatch: their scales differ, or `earlier` has trained rows.
    """
    unlike = [name for name in _SCALE if (earlier.config.get(name) or 0) != (later.config.get(name) or 0)]
    if unlike or earlier.rows:
        raise AdapterMismatch(
            "the adapter goes on from the earlier one, whose trained rows or scales are not its own"
            f" ({', '.join(unlike) or 'trained rows'}): their difference is not defined"
        )
    if unknown := sorted(name for name in earlier.tensors if name not in later.tensors):
        raise AdapterMismatch(f"the adapter goes on from the earlier one and lacks {unknown[0]}")
    tensors: dict[str, Tensor] = {}
    for name, tensor in later.tensors.items():
        before = earlier.tensors.get(name)
        if before is None:
            if ".lora_" in name:
                raise AdapterMismatch(f"the adapter goes on from the earlier one, which lacks {name}")
            tensors[name] = tensor
        elif ".lora_A" in name or ".lora_embedding_A" in name:
            tensors[name] = torch.cat([tensor, before.to(tensor.dtype)])
        else:
            tensors[name] = torch.cat([tensor, -before.to(tensor.dtype)], dim=1)
    report.add(
        "LoRA",
        "kept",
        f"it goes on from the earlier adapter and holds it: less that one it has rank {2 * int(later.config['r'])},"
        " twice its own, and so will its re-fits",
    )
    return Adapter(_of_twice_the_rank(later.config), tensors)


def _changes(attached: PeftModel) -> Iterator[tuple[nn.Parameter, Tensor]]:
    """Each adapted weight of the base, and what LoRA adds to it, of the same shape, in float32."""
    for layer in attached.modules():
        if isinstance(layer, LoraLayer):
            base: nn.Module = layer.get_base_layer()
            change: Any = layer.get_delta_weight  # of every kind of layer, and not of their common class
            for name in (*layer.lora_A, *layer.lora_embedding_A):
                yield base.get_parameter("weight"), change(name)


def _of_twice_the_rank(config: Mapping[str, Any]) -> dict[str, Any]:
    # The scale alpha / r, or alpha / sqrt(r), stays what it was.
    grown = math.sqrt(2) if config.get("use_rslora") else 2
    return {
        **config,
        "r": 2 * config["r"],
        "lora_alpha": grown * config["lora_alpha"],
        "rank_pattern": {name: 2 * rank for name, rank in (config.get("rank_pattern") or {}).items()},
        "alpha_pattern": {name: grown * alpha for name, alpha in (config.get("alpha_pattern") or {}).items()},
    }
