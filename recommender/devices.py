"""Whether a device is there, before minutes of work are put on it."""

from __future__ import annotations

import torch

from recommender.errors import ConfigError


def require_device(name: str) -> None:
    """
    Args:
        name: as torch names it: `cpu`, `cuda`, `cuda:1`, …

    Raises:
        ConfigError: this machine, or this build of torch, has no such device; the message has torch's own reason.
    """
    try:
        torch.empty(1, device=torch.device(name)).add_(1).cpu()
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        reason = str(error).strip().splitlines()
        raise ConfigError(
            f"no device {name!r} here: {reason[0] if reason else type(error).__name__}"
        ) from error
