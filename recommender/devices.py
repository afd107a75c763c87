"""A check that a device exists, before a long computation starts on it."""

from __future__ import annotations

import torch

from recommender.errors import ConfigError


def require_device(name: str) -> None:
    """Compute something on the device.

    Args:
        name: torch's name of the device: `cpu`, `cuda`, `cuda:1`, …

    Raises:
        ConfigError: this machine or this build of torch has no such device; the message holds torch's reason.
    """
    try:
        torch.empty(1, device=torch.device(name)).add_(1).cpu()
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        reason = str(error).strip().splitlines()
        raise ConfigError(
            f"no device {name!r} here: {reason[0] if reason else type(error).__name__}"
        ) from error
