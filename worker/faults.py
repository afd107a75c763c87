"""The errors of a single method. They do not end the run: another method may need less memory or other equations."""

from __future__ import annotations

import torch

from recommender import RecommenderError
from unlearning import UnlearningError

# torch documents torch.linalg.LinAlgError, but its stubs do not export it.
_NO_SOLUTION: type[Exception] = torch.linalg.LinAlgError  # type: ignore[attr-defined]

FAULTS_OF_A_METHOD = (UnlearningError, RecommenderError, torch.OutOfMemoryError, _NO_SOLUTION)
