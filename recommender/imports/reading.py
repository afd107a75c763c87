"""An adapter folder as a training script left it: config and tensors, from safetensors or from a pickle.

A pickle is read by torch's restricted reader, which builds tensors and runs no code.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import safetensors.torch
import torch
from safetensors import SafetensorError
from torch import Tensor

from recommender.adapter_folders import CONFIG_FILE, PICKLED_FILE, WEIGHTS_FILE, missing_part, read_config
from recommender.errors import AdapterMismatch, ModelLoadError
from recommender.imports.kinds import refuse_other_kinds

PREFIX = "base_model.model."
# Whoever saves a state by hand keeps the adapter's own name in the names of its tensors.
_OWN_NAME = re.compile(
    r"\.(lora_(?:embedding_)?[AB]|modules_to_save|trainable_tokens_delta)\.default(?=\.|$)"
)


@dataclass(frozen=True)
class Saved:
    """A folder's config, and its tensors by PEFT's name without prefix and without the adapter's own name."""

    folder: Path
    config: Mapping[str, Any]
    tensors: Mapping[str, Tensor]
    pickled: bool


def read_folder(folder: Path) -> Saved:
    """Read an adapter folder.

    Raises:
        ModelLoadError: something is missing, unreadable or empty, or a pickle holds more than tensors.
        AdapterMismatch: the adapter is of a kind that Lethe cannot edit, or a tensor has a name that PEFT does not
            give, or values that are not finite.
    """
    pickled = (folder / PICKLED_FILE).is_file() and not (folder / WEIGHTS_FILE).is_file()
    problem = missing_part(folder)
    if problem and not (pickled and (folder / CONFIG_FILE).is_file()):
        raise ModelLoadError(problem)
    config = read_config(folder)
    # Before the tensors, whose names are other ones in another kind.
    refuse_other_kinds(config)
    file = folder / (PICKLED_FILE if pickled else WEIGHTS_FILE)
    tensors = _from_pickle(file) if pickled else _from_safetensors(file)
    if not tensors:
        raise ModelLoadError(_empty(file))
    return Saved(folder, config, {_plain_name(file, name): one for name, one in tensors.items()}, pickled)


def _from_safetensors(file: Path) -> dict[str, Tensor]:
    try:
        found = safetensors.torch.load_file(file)
    except (SafetensorError, OSError) as error:
        raise ModelLoadError(f"{file} is not safetensors: {error}") from error
    _require_finite(file, found)
    return found


def _from_pickle(file: Path) -> dict[str, Tensor]:
    try:
        found = torch.load(file, map_location="cpu", weights_only=True)  # noqa: TID251  # restricted
    except Exception as error:
        # The restricted reader raises the class of a module that nothing here imports.
        if type(error).__name__ == "UnpicklingError":
            raise ModelLoadError(
                f"{file} holds more than tensors, and nothing else in a pickle is read: save the adapter as safetensors"
            ) from error
        if not isinstance(error, (OSError, RuntimeError, EOFError, ValueError, LookupError, AttributeError)):
            raise
        why = (str(error).splitlines() or ["it is cut off"])[0]
        raise ModelLoadError(f"{file} cannot be read as a pickle: {why}") from error
    if not isinstance(found, dict) or not all(
        isinstance(name, str) and isinstance(one, Tensor) for name, one in found.items()
    ):
        raise ModelLoadError(f"{file} is not a mapping of names to tensors")
    _require_finite(file, found)
    return found


def _require_finite(file: Path, tensors: Mapping[str, Tensor]) -> None:
    for name, tensor in tensors.items():
        if not tensor.is_floating_point() or not bool(torch.isfinite(tensor).all()):
            raise AdapterMismatch(f"{file}: {name} holds values that are not finite floating-point numbers")


def _empty(file: Path) -> str:
    """Scripts that replace `state_dict` save an empty adapter at the end, and a good one in each checkpoint."""
    checkpoints = sorted(path.name for path in file.parent.glob("checkpoint-*") if path.is_dir())
    where = f"it is in {checkpoints[-1]} beside it" if checkpoints else "look for a folder checkpoint-*"
    return (
        f"{file} holds no tensors ({file.stat().st_size} bytes): the script saved an empty adapter at its end, and the"
        f" trained one is in the trainer's last checkpoint: {where}"
    )


def _plain_name(file: Path, name: str) -> str:
    if not name.startswith(PREFIX):
        raise AdapterMismatch(f"{file} holds {name}, which is not a name that PEFT gives")
    return _OWN_NAME.sub(r".\1", name.removeprefix(PREFIX))
