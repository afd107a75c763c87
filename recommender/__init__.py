"""The recommender: catalogue, interactions, prompts, models, adapters, training and scoring.

Needs torch, transformers, peft, safetensors and numpy only; knows nothing of HTTP, databases or queues.
"""

from recommender.adapter_config import AdapterConfig
from recommender.adapters import Adapter, adapter_parameters, attach, check_compatible
from recommender.asked_scorer import AskedScorer
from recommender.base import (
    Base,
    BaseConfig,
    BaseFiles,
    base_digest,
    draw_base,
    load_base,
    read_base_files,
    save_base,
)
from recommender.catalogue import Catalogue
from recommender.data import (
    Event,
    InteractionData,
    LongTailConfig,
    RejectedRow,
    SyntheticConfig,
    generate_long_tail,
    generate_synthetic,
    k_core,
    load_interactions,
    split_panel,
)
from recommender.devices import require_device
from recommender.errors import (
    AdapterMismatch,
    ConfigError,
    DataError,
    Interrupted,
    ModelLoadError,
    OtherCatalogue,
    RecommenderError,
)
from recommender.fingerprint import canary_fingerprint, fingerprint_tolerance, fingerprints_match
from recommender.fitting import BASE_TRAINING, build_base, fit_adapter
from recommender.popularity import popularity
from recommender.processor import use_processor
from recommender.ranking import RankingMetrics, mrr_at, ndcg_at, ranks, recall_at, top_k
from recommender.scoring import Scorer
from recommender.splits import Split, leave_two_out
from recommender.styles import ItemTokenStyle, PromptStyle
from recommender.styles.questions import Question
from recommender.training import StepReport, TrainingConfig

__all__ = [
    "BASE_TRAINING",
    "Adapter",
    "AdapterConfig",
    "AdapterMismatch",
    "AskedScorer",
    "Base",
    "BaseConfig",
    "BaseFiles",
    "Catalogue",
    "ConfigError",
    "DataError",
    "Event",
    "InteractionData",
    "Interrupted",
    "ItemTokenStyle",
    "LongTailConfig",
    "ModelLoadError",
    "OtherCatalogue",
    "PromptStyle",
    "Question",
    "RankingMetrics",
    "RecommenderError",
    "RejectedRow",
    "Scorer",
    "Split",
    "StepReport",
    "SyntheticConfig",
    "TrainingConfig",
    "adapter_parameters",
    "attach",
    "base_digest",
    "build_base",
    "canary_fingerprint",
    "check_compatible",
    "draw_base",
    "fingerprint_tolerance",
    "fingerprints_match",
    "fit_adapter",
    "generate_long_tail",
    "generate_synthetic",
    "k_core",
    "leave_two_out",
    "load_base",
    "load_interactions",
    "mrr_at",
    "ndcg_at",
    "popularity",
    "ranks",
    "read_base_files",
    "recall_at",
    "require_device",
    "save_base",
    "split_panel",
    "top_k",
    "use_processor",
]
