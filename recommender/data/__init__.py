"""Interactions: reading, filtering, generating."""

from recommender.data.filters import k_core, split_panel
from recommender.data.formats import load_interactions
from recommender.data.histories import Event
from recommender.data.interactions import InteractionData
from recommender.data.long_tail import LongTailConfig, generate_long_tail
from recommender.data.synthetic import SyntheticConfig, generate_synthetic
from recommender.data.tables import RejectedRow

__all__ = [
    "Event",
    "InteractionData",
    "LongTailConfig",
    "RejectedRow",
    "SyntheticConfig",
    "generate_long_tail",
    "generate_synthetic",
    "k_core",
    "load_interactions",
    "split_panel",
]
