"""In which numbers a base computes: what `style.json` says beside the style.

An adapter that was trained on a quantised base also corrects the quantisation's error, so it belongs on a base that is
quantised in the same way (QLoRA; Dettmers et al., arXiv 2305.14314).
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Any, Literal, get_args

import torch
from transformers import BitsAndBytesConfig

from recommender.errors import ConfigError, ModelLoadError

Quantisation = Literal["nf4", "int8"]
PRECISION_KEYS = ("precision", "quantisation")
_PRECISIONS = {"float32": torch.float32, "bfloat16": torch.bfloat16}


@dataclass(frozen=True)
class Precision:
    """The numbers of a base.

    Attributes:
        dtype: of its weights and of what is computed with them; None for that of its file.
        quantisation: of the linear layers but the output layer, by bitsandbytes: 4-bit normal floats, their scales
            quantised once more (`nf4`), or 8-bit integers (`int8`).
    """

    dtype: torch.dtype | None = None
    quantisation: Quantisation | None = None

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> Precision:
        """Read `precision` and `quantisation` of a `style.json`.

        Raises:
            ConfigError: one of them has another value than we know.
        """
        precision, quantisation = (content.get(key) for key in PRECISION_KEYS)
        if precision is not None and precision not in _PRECISIONS:
            raise ConfigError(f"precision must be one of {', '.join(_PRECISIONS)}, got {precision!r}")
        if quantisation is not None and quantisation not in get_args(Quantisation):
            raise ConfigError(
                f"quantisation must be one of {', '.join(get_args(Quantisation))}, got {quantisation!r}"
            )
        return cls(None if precision is None else _PRECISIONS[precision], quantisation)

    def load_options(self, device: str) -> dict[str, Any]:
        """The arguments of `from_pretrained` that make a model compute so.

        Raises:
            ModelLoadError: bitsandbytes is not installed.
        """
        options: dict[str, Any] = {"dtype": self.dtype or "auto"}
        if self.quantisation is None:
            return options
        if find_spec("bitsandbytes") is None:
            raise ModelLoadError(
                f"a base in {self.quantisation} needs bitsandbytes; install it with: pip install 'lethe[quantised]'"
            )
        # It says for every layer and batch that 8-bit products are computed in float16.
        logging.getLogger("bitsandbytes.autograd._functions").setLevel(logging.ERROR)
        # Quantised weights are made where they will stay, and cannot be moved.
        options["device_map"] = {"": device}
        options["quantization_config"] = (
            BitsAndBytesConfig(load_in_8bit=True)  # type: ignore[no-untyped-call]  # not annotated upstream
            if self.quantisation == "int8"
            else BitsAndBytesConfig(  # type: ignore[no-untyped-call]
                load_in_4bit=True,
                bnb_4bit_quant_type="nf4",
                bnb_4bit_use_double_quant=True,
                bnb_4bit_compute_dtype=self.dtype or torch.bfloat16,
            )
        )
        return options
