"""Unlearning: methods that edit an adapter, the evidence of what they did, and the gate that judges it.

Needs torch, transformers, peft, safetensors and numpy; imports `recommender` and nothing else of this project.
"""

from unlearning.activations.collect import adapter_digest, collect_statistics
from unlearning.activations.statistics import ActivationStatistics
from unlearning.errors import UnlearningError
from unlearning.evaluation.config import EvaluationConfig
from unlearning.evaluation.evaluate import evaluate
from unlearning.evaluation.inputs import EvaluationInputs
from unlearning.evaluation.report import Report
from unlearning.evaluation.retained import RetainedReport, evaluate_retained
from unlearning.gate.decision import (
    decide,
    decide_retained,
    publishable,
    publishable_run,
    publishable_subjects,
    refused_by_draw,
)
from unlearning.gate.search import Found, Trial, search_strength
from unlearning.gate.utility import utility_change
from unlearning.gate.verdict import Reason, SubjectVerdict, Verdict
from unlearning.levels.cross_fitting import cross_fit
from unlearning.levels.never_seen import NeverSeen
from unlearning.methods.demands import needs_levels, why_not
from unlearning.methods.ladder.refit import Refit
from unlearning.methods.method import Candidate, Cost, ForgetTask, Method
from unlearning.methods.registry import METHODS, build_method
from unlearning.policy.consolidation import ConsolidationBudget, Spent, consolidation_due
from unlearning.policy.policy import Policy, Rung, Search, default_policy
from unlearning.policy.skipping import Skipping, TrackRecord, why_skip
from unlearning.progress import Progress

__all__ = [
    "METHODS",
    "ActivationStatistics",
    "Candidate",
    "ConsolidationBudget",
    "Cost",
    "EvaluationConfig",
    "EvaluationInputs",
    "ForgetTask",
    "Found",
    "Method",
    "NeverSeen",
    "Policy",
    "Progress",
    "Reason",
    "Refit",
    "Report",
    "RetainedReport",
    "Rung",
    "Search",
    "Skipping",
    "Spent",
    "SubjectVerdict",
    "TrackRecord",
    "Trial",
    "UnlearningError",
    "Verdict",
    "adapter_digest",
    "build_method",
    "collect_statistics",
    "consolidation_due",
    "cross_fit",
    "decide",
    "decide_retained",
    "default_policy",
    "evaluate",
    "evaluate_retained",
    "needs_levels",
    "publishable",
    "publishable_run",
    "publishable_subjects",
    "refused_by_draw",
    "search_strength",
    "utility_change",
    "why_not",
    "why_skip",
]
