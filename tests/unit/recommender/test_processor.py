import subprocess
import sys

import pytest

from recommender import use_processor

PAGE = 4096
BLOCK = 2**26
BLOCKS = 12
FAULTS = f"""
import ctypes, os, resource
import torch
from recommender import use_processor
if {{used}}:
    use_processor(1)
def faults():
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt
torch.ones({BLOCK // 4})
before = faults()
for _ in range({BLOCKS}):
    torch.ones({BLOCK // 4})
print(torch.get_num_threads(), faults() - before)
"""


def run(*, used: bool) -> list[int]:
    """Threads, and page faults of blocks that are freed at once, in a process of its own."""
    plain = {"PATH": "/usr/bin:/bin", "OMP_NUM_THREADS": "2"}
    done = subprocess.run(
        [sys.executable, "-c", FAULTS.format(used=used)],
        env=plain,
        capture_output=True,
        text=True,
        check=True,
    )
    return [int(number) for number in done.stdout.split()]


@pytest.mark.skipif(sys.platform != "linux", reason="only glibc is told")
def test_memory_that_tensors_free_is_kept_for_the_next() -> None:
    # A few blocks may lie elsewhere than those before them; all others fill what one of these left.
    threads, faults = run(used=True)
    assert (threads, faults < BLOCKS / 2 * BLOCK / PAGE) == (1, True)
    threads, faults = run(used=False)
    assert (threads, faults > 0.9 * BLOCKS * BLOCK / PAGE) == (2, True)


def test_another_c_library_is_left_as_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ctypes.CDLL", lambda _: object())
    use_processor(1)
