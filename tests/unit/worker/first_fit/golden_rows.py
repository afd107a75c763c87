"""What the tests of an owner's rows start from."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from transformers import LlamaForCausalLM

from recommender import Base, InteractionData, SyntheticConfig, generate_synthetic
from recommender.llama_shape import LlamaShape
from recommender.styles import PromptStyle


def generated() -> InteractionData:
    return generate_synthetic(
        SyntheticConfig(users=20, items=30, tastes=3, mean_length=5, min_length=4, personal=1)
    )


def drawn_base(style: PromptStyle, data: InteractionData) -> Base:
    shape = LlamaShape(layers=1, width=16, heads=2, feed_forward=16)
    return Base(LlamaForCausalLM(shape.llama(style, 512)).eval(), data.catalogue, style, "digest")


def write(folder: Path, content: list[dict[str, Any]]) -> Path:
    path = folder / "golden.jsonl"
    path.write_text("\n".join(map(json.dumps, content)))
    return path
