"""The files of an adapter's folder; explains in one line why one does not hold a readable adapter."""

import json
from pathlib import Path
from typing import Any

from recommender.errors import ModelLoadError

CONFIG_FILE = "adapter_config.json"
WEIGHTS_FILE = "adapter_model.safetensors"
PICKLED_FILE = "adapter_model.bin"


def missing_part(directory: Path) -> str | None:
    """Why `directory` cannot be read as an adapter; None if it holds both files.

    Other files beside them (a model card, a trainer's state, a tokenizer) do not matter.
    """
    if not directory.is_dir():
        return f"{directory} is not a folder"
    if not (directory / CONFIG_FILE).is_file():
        return f"{directory} has no {CONFIG_FILE}{_instead_of_an_adapter(directory)}"
    if not (directory / WEIGHTS_FILE).is_file():
        return f"{directory} has no {WEIGHTS_FILE}{_instead_of_weights(directory)}"
    return None


def read_config(directory: Path) -> dict[str, Any]:
    """The adapter's configuration.

    Raises:
        ModelLoadError: it is not a JSON object.
    """
    file = directory / CONFIG_FILE
    try:
        config = json.loads(file.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ModelLoadError(f"{file} is not JSON: {error}") from error
    if not isinstance(config, dict):
        raise ModelLoadError(f"{file} is not a JSON object")
    return config


def _instead_of_an_adapter(directory: Path) -> str:
    below = sorted(path.parent.name for path in directory.glob(f"*/{CONFIG_FILE}"))
    if below:
        listed = ", ".join(below[:3]) + (", …" if len(below) > 3 else "")
        return f"; adapters lie in folders below it ({listed}): name one of them"
    if (directory / "config.json").is_file():
        return (
            ": it is a whole model. Lethe forgets in a LoRA adapter, and a full fine-tune has none; one that was merged"
            " into its base has to be brought as it was before"
        )
    return ""


def _instead_of_weights(directory: Path) -> str:
    if any(directory.glob("adapter_model*.index.json")) or any(directory.glob("adapter_model-*")):
        return "; its weights are split over several files, save them as one"
    if any(directory.glob("adapter_model*.bin")):
        return f"; its weights are pickled ({PICKLED_FILE}): write them as safetensors with lethe import"
    return ""
