"""Kinds of adapters that Lethe cannot edit, and why."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from recommender.errors import AdapterMismatch

_PROMPTS = "it learns tokens in front of the prompt and changes no weight"
_KINDS = {
    "ADALORA": "AdaLoRA: it keeps singular values between A and B and spreads ranks while it trains",
    "IA3": "IA3: it multiplies activations and adds no matrix to a weight",
    "PROMPT_TUNING": f"prompt tuning: {_PROMPTS}",
    "MULTITASK_PROMPT_TUNING": f"prompt tuning: {_PROMPTS}",
    "P_TUNING": f"p-tuning: {_PROMPTS}",
    "PREFIX_TUNING": f"prefix tuning: {_PROMPTS}",
    "ADAPTION_PROMPT": f"an adaption prompt: {_PROMPTS}",
    "TRAINABLE_TOKENS": "trainable tokens without LoRA: a re-fit needs a LoRA configuration; train both together",
}
_OPTIONS = {
    "use_dora": "DoRA: it scales every row of a weight to a trained length, which is no sum W + scale · B A",
    "lora_bias": "trained biases, which no method edits",
    "layer_replication": "layers that are there several times, so that the base is another model",
    "target_parameters": "LoRA on bare parameters, which no method edits",
    "alora_invocation_tokens": "LoRA that is on for a part of the prompt only",
}


def refuse_other_kinds(config: Mapping[str, Any]) -> None:
    """Refuse what is not LoRA, with the reason in one sentence.

    Raises:
        AdapterMismatch: the adapter is of a kind that Lethe cannot edit.
    """
    kind = config.get("peft_type")
    if kind != "LORA":
        why = _KINDS.get(
            str(kind), f"{kind}: it is not of the form W + scale · B A, on which every method relies"
        )
        raise AdapterMismatch(f"Lethe edits LoRA adapters, and this one is {why}")
    if config.get("bias", "none") not in ("none", None):
        raise AdapterMismatch(f"Lethe edits LoRA adapters, and this one has {_OPTIONS['lora_bias']}")
    for option, why in _OPTIONS.items():
        if config.get(option):
            raise AdapterMismatch(f"Lethe edits plain LoRA, and this adapter has {why} ({option})")
