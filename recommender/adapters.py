"""LoRA adapters as values, and how to attach one to a base that is in use.

PEFT changes the module tree it is given. All versions that serve share one base, so no adapter is loaded into it:
`attach` builds a new tree of modules around the same base tensors.
"""

import json
import re
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from weakref import WeakKeyDictionary

import safetensors.torch
import torch
from peft import LoraConfig, PeftModel, get_peft_model_state_dict
from safetensors import SafetensorError
from torch import Tensor, nn
from transformers import PreTrainedModel

from recommender.adapter_folders import CONFIG_FILE, WEIGHTS_FILE, missing_part, read_config
from recommender.base import Base
from recommender.errors import AdapterMismatch, ModelLoadError
from recommender.module_trees import share_tensors
from recommender.plain_lora import plain_lora
from recommender.trained_rows import (
    NO_ROWS,
    ROW_TENSORS,
    ROWS_OPTION,
    TrainedRows,
    base_of,
    put_rows,
    row_parameters,
    row_shapes,
    rows_of,
)

_ADAPTER_NAME = "default"

# PEFT takes twice as long to make a tree of modules as a copy takes, and an evaluation attaches dozens of adapters
# of one form. A tree holds no memory to speak of: its tensors are the base's, or on the meta device. By base, the trees
# by form, each with the tensors that it was made around.
_skeletons: WeakKeyDictionary[PreTrainedModel, dict[str, tuple[PeftModel, Sequence[Tensor]]]] = (
    WeakKeyDictionary()
)
_MOST_SKELETONS = 4
_shapes: WeakKeyDictionary[PeftModel, dict[str, tuple[int, ...]]] = WeakKeyDictionary()


@dataclass(frozen=True)
class Adapter:
    """A LoRA adapter: PEFT's `adapter_config.json` and the tensors of `adapter_model.safetensors`.

    Tensor names are PEFT's, without the adapter's own name: `base_model.model.<module>.lora_A.weight` of shape
    `[r, in]` and `….lora_B.weight` of shape `[out, r]`. An adapter that has trained rows of the embedding or of the
    output layer also holds `embed_rows` and `head_rows`, `[rows, width]`: what they differ by from the base's rows,
    which the config names (`rows`). An adapter is never changed in place; `replace` makes another.
    """

    config: Mapping[str, Any]
    tensors: Mapping[str, Tensor]

    @property
    def rows(self) -> TrainedRows:
        """The trained rows of the embedding and the output layer; none in a plain LoRA adapter.

        Raises:
            AdapterMismatch: the config names them in another form than Lethe's.
        """
        return TrainedRows.from_plain(self.config.get(ROWS_OPTION))

    def replace(self, tensors: Mapping[str, Tensor]) -> "Adapter":
        """The same adapter with other tensors."""
        return replace(self, tensors=dict(tensors))

    def to_bytes(self) -> bytes:
        """The tensors as one safetensors blob; equal tensors give equal bytes."""
        tensors = {name: self.tensors[name].detach().cpu().contiguous() for name in sorted(self.tensors)}
        return safetensors.torch.save(tensors, metadata={"format": "pt"})

    @classmethod
    def from_bytes(cls, config: Mapping[str, Any], data: bytes) -> "Adapter":
        """Read the output of `to_bytes`.

        Raises:
            ModelLoadError: `data` is not safetensors.
        """
        try:
            return cls(config=dict(config), tensors=safetensors.torch.load(data))
        except SafetensorError as error:
            raise ModelLoadError(f"adapter weights are not safetensors: {error}") from error

    def save(self, directory: Path) -> None:
        """Write an ordinary PEFT folder, readable by `PeftModel.from_pretrained`; trained rows only Lethe reads."""
        directory.mkdir(parents=True, exist_ok=True)
        config = json.dumps(dict(self.config), indent=2, sort_keys=True)
        (directory / CONFIG_FILE).write_text(config, encoding="utf-8")
        (directory / WEIGHTS_FILE).write_bytes(self.to_bytes())

    @classmethod
    def load(cls, directory: Path) -> "Adapter":
        """Read an ordinary PEFT folder.

        Raises:
            ModelLoadError: a file is missing or unreadable, or the weights are pickled, which are refused. The message
                says what the folder holds instead.
        """
        if problem := missing_part(directory):
            raise ModelLoadError(problem)
        return cls.from_bytes(read_config(directory), (directory / WEIGHTS_FILE).read_bytes())

    @classmethod
    def from_peft(cls, model: PeftModel) -> "Adapter":
        """A copy of a PEFT model's active adapter, configured for inference."""
        config = model.peft_config[_ADAPTER_NAME].to_dict()
        rows = rows_of(model)
        own = {ROWS_OPTION: rows.to_plain()} if rows else {}
        tensors = {
            **get_peft_model_state_dict(model, save_embedding_layers=False),
            **row_parameters(model),
        }
        return cls(
            config={name: _to_json(value) for name, value in config.items()} | {"inference_mode": True} | own,
            tensors={name: tensor.detach().cpu().clone() for name, tensor in tensors.items()},
        )


def attach(base: Base, adapter: Adapter) -> PeftModel:
    """A model of `base` with `adapter`, for inference only, that shares every base tensor.

    `base` and all models attached before stay unchanged, so a server can prepare a version while the previous one
    answers. The LoRA tensors are private copies. The random generators are not used.

    Raises:
        AdapterMismatch: see `check_compatible`.
    """
    return attach_to(base.model, adapter)


def attach_to(base: PreTrainedModel, adapter: Adapter) -> PeftModel:
    """`attach` on a model that has no catalogue.

    Raises:
        AdapterMismatch: see `check_compatible`.
    """
    skeleton = _skeleton(base, adapter)
    _check_tensors(skeleton, adapter)
    model = skeleton if _is_quantised(base) else share_tensors(skeleton)
    private = {
        # As in PEFT, LoRA computes in float32 even if the base is in half precision.
        _with_adapter_name(name): tensor.detach().to(
            base.device, torch.promote_types(tensor.dtype, torch.float32), copy=True
        )
        for name, tensor in adapter.tensors.items()
    }
    rows = {name: private.pop(name) for name in ROW_TENSORS if name in private}
    # The tensors are assigned and not copied, because the skeleton's LoRA tensors are on the meta device and have no
    # storage. PEFT's own loader would round them to the base's precision; torch's looks at every module.
    for name, tensor in private.items():
        module, _, own = name.rpartition(".")
        setattr(model.get_submodule(module), own, nn.Parameter(tensor, requires_grad=False))
    if rows:
        put_rows(model, adapter.rows, rows)
        model.requires_grad_(False).eval()
    return model


def check_compatible(base: Base, adapter: Adapter) -> None:
    """Refuse an adapter that does not fit this base exactly.

    Raises:
        AdapterMismatch: it is not plain LoRA (DoRA, bias, extra saved modules, unknown options), rank or alpha is
            missing, the base lacks target modules or trained rows, or tensors are missing, superfluous, of another
            shape or not finite.
    """
    check_fits(base.model, adapter)


def check_fits(base: PreTrainedModel, adapter: Adapter) -> None:
    """`check_compatible` on a model that has no catalogue.

    Raises:
        AdapterMismatch: see `check_compatible`.
    """
    _check_tensors(_skeleton(base, adapter), adapter)


def trainable(base: Base, config: LoraConfig, rows: TrainedRows = NO_ROWS) -> PeftModel:
    """A model of `base` with new LoRA tensors (from torch's global generator), which alone require gradients.

    So do the changes of `rows`, which start at 0: at the base.

    Raises:
        AdapterMismatch: the base has none of the target modules, or not these rows.
    """
    model = _peft_model(share_tensors(base.model), config)
    shapes = row_shapes(base.model, rows)
    put_rows(
        model, rows, {name: torch.zeros(shape, device=base.model.device) for name, shape in shapes.items()}
    )
    for parameter in row_parameters(model).values():
        parameter.requires_grad_(True)
    return model


def adapter_parameters(model: PeftModel) -> dict[str, nn.Parameter]:
    """The adapter's tensors within an attached model, LoRA and trained rows, named as in `Adapter.tensors`."""
    marked = f".{_ADAPTER_NAME}"
    lora = {
        re.sub(rf"(\.lora_(?:embedding_)?[AB]){re.escape(marked)}(?=\.|$)", r"\1", name): parameter
        for name, parameter in model.named_parameters()
        if ".lora_" in name
    }
    return {**lora, **row_parameters(model)}


def _skeleton(base: PreTrainedModel, adapter: Adapter) -> PeftModel:
    """The module tree of the LoRA part of `adapter`, with shared base tensors and LoRA tensors on the meta device.

    It is kept for the next adapter of this form, and must not be changed. That of a quantised base is the caller's own:
    such layers keep more than their tensors.
    """
    config = plain_lora(adapter.config)
    if _is_quantised(base):
        return _made_around(base, config)
    form = json.dumps(dict(adapter.config), sort_keys=True, default=repr)
    tensors = [*base.parameters(), *base.buffers()]
    kept = _skeletons.setdefault(base, {})
    skeleton, around = kept.get(form, (None, ()))
    if skeleton is not None and [*map(id, around)] == [*map(id, tensors)]:
        return skeleton
    skeleton = _made_around(base, config)
    if len(kept) >= _MOST_SKELETONS:
        kept.clear()
    kept[form] = skeleton, tensors
    return skeleton


def _is_quantised(base: PreTrainedModel) -> bool:
    return bool(getattr(base, "is_quantized", False))


def _made_around(base: PreTrainedModel, config: LoraConfig) -> PeftModel:
    # The meta device is set for this thread; PEFT's low-memory mode would patch torch for the whole process.
    with torch.device("meta"):
        made = _peft_model(share_tensors(base), config)
    made.requires_grad_(False)
    return made.eval()


def _peft_model(tree: PreTrainedModel, config: LoraConfig) -> PeftModel:
    with warnings.catch_warnings():
        # PEFT 0.21 reads a property of transformers 5 by its old name; a caller cannot change that.
        warnings.filterwarnings("ignore", message="`is_gradient_checkpointing`", category=FutureWarning)
        # PEFT corrects this option by the kind of layer it finds.
        warnings.filterwarnings("ignore", message="fan_in_fan_out is set to")
        # A warning about merging and saving; here nothing is merged, and LoRA tensors alone are saved.
        warnings.filterwarnings("ignore", message="Model has `tie_word_embeddings=True`")
        try:
            return PeftModel(tree, config, adapter_name=_ADAPTER_NAME)
        except (ValueError, TypeError, KeyError, AttributeError, re.error) as error:
            raise AdapterMismatch(f"the adapter does not fit this base: {error}") from error


def _check_tensors(skeleton: PeftModel, adapter: Adapter) -> None:
    expected = _lora_shapes(skeleton) | row_shapes(base_of(skeleton), adapter.rows)
    for problem, names in (
        ("lacks", expected.keys() - adapter.tensors.keys()),
        ("has unexpected", adapter.tensors.keys() - expected.keys()),
    ):
        if names:
            raise AdapterMismatch(f"the adapter {problem} {len(names)} tensors, first {min(names)}")
    for name, shape in expected.items():
        found = adapter.tensors[name]
        if tuple(found.shape) != shape:
            raise AdapterMismatch(f"{name} has shape {tuple(found.shape)}, this base needs {shape}")
        if not found.is_floating_point() or not bool(torch.isfinite(found).all()):
            raise AdapterMismatch(f"{name} holds values that are not finite floating-point numbers")


def _lora_shapes(skeleton: PeftModel) -> dict[str, tuple[int, ...]]:
    """By names as in `Adapter.tensors`."""
    found = _shapes.get(skeleton)
    if found is None:
        lora = get_peft_model_state_dict(skeleton, save_embedding_layers=False)
        found = _shapes[skeleton] = {name: tuple(tensor.shape) for name, tensor in lora.items()}
    return found


def _with_adapter_name(name: str) -> str:
    """PEFT's name of a stored tensor within a model, which can hold several adapters."""
    return re.sub(r"\.(lora_(?:embedding_)?[AB])(?=\.|$)", rf".\1.{_ADAPTER_NAME}", name)


def _to_json(value: Any) -> Any:
    if isinstance(value, set):
        return sorted(value)
    # PEFT's enums are subclasses of str; JSON needs the string.
    return str(value.value) if hasattr(value, "value") else value
