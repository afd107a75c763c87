"""What speaks against one method and not against the run: another may need less memory, or solve another equation."""

from __future__ import annotations

import torch

from recommender import RecommenderError
from unlearning import UnlearningError

FAULTS_OF_A_METHOD = (UnlearningError, RecommenderError, torch.OutOfMemoryError, torch.linalg.LinAlgError)  # type: ignore[attr-defined]
