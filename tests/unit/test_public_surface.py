"""The names that the pure packages promise. A change here is a change for everyone who builds on them."""

import importlib
import inspect
from dataclasses import is_dataclass
from types import ModuleType

import pytest

SURFACE = {
    "model_store": {
        "what is stored": {
            "ADAPTER_WEIGHTS",
            "BlobRef",
            "Checkpoint",
            "Floor",
            "JournalEntry",
            "Manifest",
            "TensorInfo",
            "Timeline",
        },
        "where": {"LocalStore", "MemoryStore", "Store", "StoreHealth", "open_store"},
        "doing": {"Destruction", "inspect_safetensors", "read_version"},
        "errors": {
            "BlobMissing",
            "DigestMismatch",
            "HostileArtefact",
            "InvalidCheckpoint",
            "InvalidDigest",
            "InvalidFloor",
            "InvalidJournalEntry",
            "InvalidManifest",
            "InvalidRecord",
            "InvalidTimeline",
            "JournalConflict",
            "ManifestMissing",
            "PublicationSwept",
            "StoreEmptied",
            "StoreError",
            "StoreFull",
            "StoreReadOnly",
            "StoreUnavailable",
            "StoreUnsuitable",
            "UnsupportedStoreUrl",
            "VersionBelowFloor",
            "VersionDestroyed",
        },
    },
    "recommender": {
        "data": {
            "Catalogue",
            "Event",
            "InteractionData",
            "LongTailConfig",
            "RejectedRow",
            "Split",
            "SyntheticConfig",
            "generate_long_tail",
            "generate_synthetic",
            "k_core",
            "leave_two_out",
            "load_interactions",
            "adapter_parameters",
            "split_panel",
        },
        "models": {
            "Adapter",
            "BASE_TRAINING",
            "AdapterConfig",
            "Base",
            "BaseConfig",
            "BaseFiles",
            "ItemTokenStyle",
            "PromptStyle",
            "Question",
            "StepReport",
            "TrainingConfig",
            "attach",
            "base_digest",
            "build_base",
            "canary_fingerprint",
            "check_compatible",
            "draw_base",
            "fingerprint_tolerance",
            "fingerprints_match",
            "fit_adapter",
            "load_base",
            "read_base_files",
            "require_device",
            "save_base",
        },
        "ranking": {
            "AskedScorer",
            "RankingMetrics",
            "Scorer",
            "mrr_at",
            "ndcg_at",
            "popularity",
            "ranks",
            "recall_at",
            "top_k",
            "use_processor",
        },
        "errors": {
            "AdapterMismatch",
            "ConfigError",
            "DataError",
            "Interrupted",
            "ModelLoadError",
            "OtherCatalogue",
            "RecommenderError",
        },
    },
    "unlearning": {
        "methods": {
            "METHODS",
            "Candidate",
            "Cost",
            "ForgetTask",
            "Method",
            "Progress",
            "Refit",
            "build_method",
            "needs_levels",
            "why_not",
        },
        "statistics": {"ActivationStatistics", "adapter_digest", "collect_statistics"},
        "levels": {"NeverSeen", "cross_fit"},
        "evaluation": {
            "EvaluationConfig",
            "EvaluationInputs",
            "Report",
            "RetainedReport",
            "evaluate",
            "evaluate_retained",
        },
        "gate": {
            "Policy",
            "Reason",
            "Rung",
            "SubjectVerdict",
            "Verdict",
            "decide",
            "decide_retained",
            "default_policy",
            "publishable",
            "publishable_run",
            "publishable_subjects",
            "refused_by_draw",
            "utility_change",
        },
        "skipping": {"Skipping", "TrackRecord", "why_skip"},
        "search": {"Found", "Search", "Trial", "search_strength"},
        "consolidation": {"ConsolidationBudget", "Spent", "consolidation_due"},
        "errors": {"UnlearningError"},
    },
}
ERROR_ROOTS = {
    "model_store": "StoreError",
    "recommender": "RecommenderError",
    "unlearning": "UnlearningError",
}


@pytest.fixture(params=sorted(SURFACE))
def package(request: pytest.FixtureRequest) -> ModuleType:
    return importlib.import_module(request.param)


def test_the_promised_names_are_exactly_those_exported(package: ModuleType) -> None:
    promised = set().union(*SURFACE[package.__name__].values())
    assert set(package.__all__) == promised


def test_every_name_is_there_once_and_in_order(package: ModuleType) -> None:
    names = list(package.__all__)
    assert len(names) == len(set(names))
    for name in names:
        assert hasattr(package, name), name


def test_what_is_exported_comes_from_the_package_itself(package: ModuleType) -> None:
    for name in package.__all__:
        origin = getattr(getattr(package, name), "__module__", package.__name__)
        assert origin.split(".")[0] == package.__name__, f"{name} comes from {origin}"


def test_every_exported_class_and_function_is_documented(package: ModuleType) -> None:
    for name in package.__all__:
        value = getattr(package, name)
        if not (inspect.isclass(value) or inspect.isfunction(value)):
            continue
        documentation = value.__dict__.get("__doc__") if inspect.isclass(value) else value.__doc__
        # A dataclass without a docstring gets its signature for one, and so does a named tuple.
        assert documentation, f"{name} says nothing about itself"
        assert not documentation.startswith(f"{name}("), f"{name} says nothing about itself"


def test_exported_dataclasses_are_frozen(package: ModuleType) -> None:
    for name in package.__all__:
        value = getattr(package, name)
        if inspect.isclass(value) and is_dataclass(value):
            assert value.__dataclass_params__.frozen, f"{name} can be changed after it was checked"


def test_every_exported_error_descends_from_the_packages_root(package: ModuleType) -> None:
    root = getattr(package, ERROR_ROOTS[package.__name__])
    for name in package.__all__:
        value = getattr(package, name)
        if inspect.isclass(value) and issubclass(value, BaseException):
            assert issubclass(value, root), name


def test_the_packages_docstring_names_what_it_needs(package: ModuleType) -> None:
    assert package.__doc__
    assert len(package.__doc__.strip().splitlines()) >= 2
