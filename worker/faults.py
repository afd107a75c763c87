"""What speaks against one method and not against the run: another may need less memory, or solve another equation."""

from __future__ import annotations

import torch

from recommender import RecommenderError
from unlearning import UnlearningError

# torch documents LinAlgError as torch.linalg's, and its stubs do not export it.
_NO_SOLUTION: type[Exception] = torch.linalg.LinAlgError  # type: ignore[attr-defined]

FAULTS_OF_A_METHOD = (UnlearningError, RecommenderError, torch.OutOfMemoryError, _NO_SOLUTION)
