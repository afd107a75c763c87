"""Inference in a vLLM server, over its HTTP API: for models that outgrow one process.

This process reads the base's catalogue, prompts and tokenizer, and no weights. Only `app.serving.assembly` imports this
package.
"""

from app.serving.vllm_ranker.loader import VllmLoader, open_loader
from app.serving.vllm_ranker.ranker import VllmRanker

__all__ = ["VllmLoader", "VllmRanker", "open_loader"]
