"""Inference with transformers and PEFT in this process.

No other part of `app` imports `recommender` or a learning library, and only `app.serving.assembly` imports this one.
"""

from app.serving.transformers_ranker.loader import TransformersLoader, open_loader
from app.serving.transformers_ranker.ranker import TransformersRanker

__all__ = ["TransformersLoader", "TransformersRanker", "open_loader"]
