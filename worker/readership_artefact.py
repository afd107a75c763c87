"""Writes a version's readership as its artefact; `app.readers.readership` reads it without a tensor library."""

from __future__ import annotations

import safetensors.torch
import torch
from torch import Tensor

from app.readers.readership import PARTLY, ROW_BYTES, SUBJECTS, Readership, joined


def readership_artefact(readership: Readership) -> bytes:
    """Two uint8 tensors [people, 32] as safetensors. The same people always give the same bytes."""
    return safetensors.torch.save(
        {SUBJECTS: _tensor(readership.rows), PARTLY: _tensor(joined(readership.partly))}
    )


def _tensor(rows: bytes) -> Tensor:
    if not rows:
        return torch.zeros(0, ROW_BYTES, dtype=torch.uint8)
    return torch.frombuffer(bytearray(rows), dtype=torch.uint8).reshape(-1, ROW_BYTES)
