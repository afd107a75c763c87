import subprocess
import sys

import pytest

from recommender import use_processor

PAGE = 4096
BLOCK = 2**26
BLOCKS = 12
FAULTS = f"""
import resource
import torch
from recommender import use_processor
def faults():
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for used in (False, True):
    if used:
        use_processor(1)
    torch.ones({BLOCK // 4})
    before = faults()
    for _ in range({BLOCKS}):
        torch.ones({BLOCK // 4})
    print(torch.get_num_threads(), faults() - before)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="only glibc is told")
def test_memory_that_tensors_free_is_kept_for_the_next() -> None:
    # Page faults of blocks that are freed at once, in a process of its own.
    done = subprocess.run(
        [sys.executable, "-c", FAULTS],
        env={"PATH": "/usr/bin:/bin", "OMP_NUM_THREADS": "2"},
        capture_output=True,
        text=True,
        check=True,
    )
    before, after = ([int(number) for number in line.split()] for line in done.stdout.splitlines())
    assert (before[0], before[1] > 0.9 * BLOCKS * BLOCK / PAGE) == (2, True)
    # A few blocks may lie elsewhere than those before them; all others fill what one of these left.
    assert (after[0], after[1] < BLOCKS / 2 * BLOCK / PAGE) == (1, True)


def test_another_c_library_is_left_as_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ctypes.CDLL", lambda _: object())
    use_processor(1)
