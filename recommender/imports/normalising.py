"""From what a folder holds to an adapter of Lethe's on a base that holds all the rest."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import torch
from peft import LoraConfig
from torch import Tensor, nn
from transformers import PreTrainedModel

from recommender.adapter_config import AdapterConfig
from recommender.adapters import Adapter, check_fits
from recommender.errors import AdapterMismatch
from recommender.imports.matrices import (
    Matrix,
    Resolved,
    find_matrix,
    indices_named,
    is_named,
    names_of,
    resolve,
)
from recommender.imports.reading import PREFIX, Saved
from recommender.imports.report import Report
from recommender.operators_adapter import check_order, differing, same_values
from recommender.trained_rows import (
    EMBED_ROWS,
    HEAD_ROWS,
    ROWS_OPTION,
    TrainedRows,
    embedding_of,
    head_of,
    spans_of,
)

_EMBEDDING, _HEAD = "embedding layer", "output layer"
# Of the machine that trained, or said by the rows from now on.
_LEFT_OUT = (
    "auto_mapping", "base_model_name_or_path", "modules_to_save", "peft_version", "revision", "runtime_config",
    "trainable_token_indices",
)  # fmt: skip


def normalise(
    model: PreTrainedModel, saved: Saved, report: Report, *, added_untrained: bool = False
) -> tuple[Adapter, bool]:
    """The adapter, and whether `model` was changed: the caller's own, which gets what the adapter takes for granted.

    Raises:
        AdapterMismatch: it is of another base, not plain LoRA but for such rows, or lacks tensors.
    """
    tied = _is_tied(model)
    matrices = _matrices(model, saved)
    tensors = _lora(model, saved, matrices, report)
    resolved = {
        what: resolve(matrix, _weight(model, what).weight.detach(), report, added_untrained=added_untrained)
        for what, matrix in matrices.items()
        if matrix.is_saved
    }
    changed = _materialise(model, resolved, report, tied=tied)
    shared = tied and _trained_as_one(model, saved.config, resolved)
    rows, changes = _parts(model, resolved, report, shared=shared)
    adapter = Adapter(_config(saved.config, rows, tensors), {**tensors, **changes})
    for option in ("rank_pattern", "alpha_pattern"):
        check_order(model, option, adapter.config.get(option) or {})
    # What a re-fit could not repeat is said now and not by `lethe init`.
    AdapterConfig.of(adapter)
    check_fits(model, adapter)
    return adapter, changed


def _weight(model: PreTrainedModel, what: str) -> nn.Embedding | nn.Linear:
    return embedding_of(model)[1] if what == _EMBEDDING else head_of(model)[1]


def _is_tied(model: PreTrainedModel) -> bool:
    head: object = model.get_output_embeddings()  # type: ignore[no-untyped-call]  # not annotated upstream
    return isinstance(head, nn.Linear) and head.weight is embedding_of(model)[1].weight


def _matrices(model: PreTrainedModel, saved: Saved) -> dict[str, Matrix]:
    found = {}
    for what, (place, _) in ((_EMBEDDING, embedding_of(model)), (_HEAD, head_of(model))):
        found[what] = find_matrix(place, what, saved.config, saved.tensors)
    places = [embedding_of(model)[0], head_of(model)[0]]
    for name in saved.config.get("modules_to_save") or []:
        if not any(is_named(place, [name]) for place in places):
            raise AdapterMismatch(
                f"modules_to_save trains {name}: Lethe edits LoRA and rows of the embedding and the output layer, and"
                " would leave what this layer has learnt"
            )
    return found


def _lora(
    model: PreTrainedModel, saved: Saved, matrices: Mapping[str, Matrix], report: Report
) -> dict[str, Tensor]:
    """The LoRA tensors by PEFT's full name; whatever else the folder holds must be equal to the base's."""
    known = {*names_of(embedding_of(model)[0]), *names_of(head_of(model)[0])}
    own = model.state_dict()
    lora, dropped = {}, []
    for name, tensor in saved.tensors.items():
        place = name.replace(".base_layer.", ".")
        if ".lora_" in name:
            lora[PREFIX + name] = tensor
        elif name in known:
            continue
        elif place in own and same_values(own[place], tensor):
            dropped.append(name)
        elif place in own:
            raise AdapterMismatch(
                f"the adapter folder holds a changed {place}, which is neither LoRA nor embedding or output layer: no"
                " edit of Lethe's would reach it"
            )
        else:
            raise AdapterMismatch(f"the adapter folder holds {name}, which this base has not")
    if not lora:
        raise AdapterMismatch("the adapter folder holds no LoRA tensors")
    modules = {name.partition(".lora_")[0] for name in lora}
    how = "from a pickle, written as safetensors" if saved.pickled else "kept as they are"
    report.add("LoRA", "kept", f"{len(lora)} tensors on {len(modules)} modules, {how}")
    for name in dropped:
        report.add(name, "dropped", "equal to the base's")
    return lora


def _materialise(
    model: PreTrainedModel, resolved: Mapping[str, Resolved], report: Report, *, tied: bool
) -> bool:
    """Let `model` hold the rows that the adapter takes for granted; whether anything had to be changed."""
    before = len(_weight(model, _EMBEDDING).weight)
    size = max((len(one.start) for one in resolved.values()), default=before)
    for what in (_EMBEDDING, _HEAD):
        grown_elsewhere = size > before and (what not in resolved or len(resolved[what].start) < size)
        if grown_elsewhere and not tied:
            raise AdapterMismatch(
                f"the vocabulary grew from {before} to {size} tokens, and the folder does not hold the {what}'s added"
                " rows, which are drawn at random: bring the base as it was when its vocabulary had grown"
            )
    if size > before:
        # The rows that this draws are all overwritten below.
        with torch.random.fork_rng(devices=[]):
            model.resize_token_embeddings(size, mean_resizing=False)
        report.add("base", "base", f"grew from {before} to {size} tokens; the added rows are in the new base")
    changed = size > before
    # Of a tied base the embedding's rows count, and the output layer's difference from them is its trained part.
    order = [what for what in (_EMBEDDING, _HEAD) if what in resolved]
    for what in order[:1] if tied else order:
        weight, start = _weight(model, what).weight, resolved[what].start
        if len(start) == size and bool(differing(weight, start).any()):
            with torch.no_grad():
                weight.copy_(start.to(weight.dtype))
            changed = True
    return changed


def _trained_as_one(
    model: PreTrainedModel, config: Mapping[str, Any], resolved: Mapping[str, Resolved]
) -> bool:
    """Whether PEFT trained embedding and output layer of a tied base as one tensor."""
    if _EMBEDDING not in resolved or resolved[_EMBEDDING].trained is None:
        return False
    ids = [
        indices_named(layer[0], what, config)
        for layer, what in ((embedding_of(model), _EMBEDDING), (head_of(model), _HEAD))
    ]
    if ids[0]:
        return ids[1] in ([], ids[0])
    return bool(config.get("ensure_weight_tying"))


def _parts(
    model: PreTrainedModel, resolved: Mapping[str, Resolved], report: Report, *, shared: bool
) -> tuple[TrainedRows, dict[str, Tensor]]:
    """The trained rows as differences from the base's."""
    spans, changes = {}, {}
    for what, name in ((_EMBEDDING, EMBED_ROWS), (_HEAD, HEAD_ROWS)):
        if what not in resolved or (shared and what == _HEAD):
            continue
        weight, one = _weight(model, what).weight.detach(), resolved[what]
        trained = one.start if one.trained is None else one.trained
        if len(trained) < len(weight):
            continue
        differ = differing(weight, trained).any(1)
        differ[list(one.named)] = True
        rows = differ.nonzero().flatten().tolist()
        if not rows:
            continue
        spans[name] = spans_of(rows)
        changes[name] = (trained[rows].float() - weight[rows].float()).contiguous()
        text = f"{len(rows)} of {len(weight)} rows were trained: made a part of the adapter ({name})"
        report.add(what, "part", text + ("; the output layer is tied to them" if shared else ""))
    rows_found = TrainedRows(
        spans.get(EMBED_ROWS, ()), spans.get(HEAD_ROWS, ()), tied=shared and EMBED_ROWS in spans
    )
    return rows_found, changes


def _config(config: Mapping[str, Any], rows: TrainedRows, lora: Mapping[str, Tensor]) -> dict[str, Any]:
    plain = {name: value for name, value in _options(config) if name not in _LEFT_OUT}
    if not any(".lora_embedding_" in name for name in lora):
        # It tied what was trained whole, and that is said by the rows.
        plain.pop("ensure_weight_tying", None)
    own = {ROWS_OPTION: rows.to_plain()} if rows else {}
    return {**plain, "base_model_name_or_path": None, "inference_mode": True, **own}


def _options(config: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    """PEFT's options, and what is not known where it is set, so that it is refused by name."""
    for name, value in config.items():
        if name in LoraConfig.__dataclass_fields__ or value:
            yield name, value
