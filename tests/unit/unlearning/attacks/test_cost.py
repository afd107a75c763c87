import gc

import pytest
import torch

from unlearning.attacks.cost import collector_paused, peak_tensor_bytes


def test_the_peak_counts_what_is_alive_at_once() -> None:
    kilobyte = torch.zeros(256)

    def together() -> None:
        one, two = kilobyte.clone(), kilobyte.clone()
        del one, two

    def in_turn() -> None:
        for _ in range(4):
            one = kilobyte.clone()
            del one

    assert peak_tensor_bytes(together) == 2048
    assert peak_tensor_bytes(in_turn) == 1024


def test_the_collector_comes_back_after_an_error() -> None:
    seen = []

    @collector_paused()
    def work() -> None:
        seen.append(gc.isenabled())
        raise ValueError("broken")

    with pytest.raises(ValueError, match="broken"):
        work()
    assert seen == [False]
    assert gc.isenabled()
