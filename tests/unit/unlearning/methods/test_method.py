from dataclasses import replace

import pytest

from unlearning import Cost, ForgetTask
from unlearning.errors import InvalidTask


def test_a_task_needs_subjects_and_retained_users_with_events(task: ForgetTask) -> None:
    with pytest.raises(InvalidTask, match="forget is empty"):
        replace(task, forget=())
    with pytest.raises(InvalidTask, match="retain is empty"):
        replace(task, retain=())
    with pytest.raises(InvalidTask, match="forget holds an empty sequence"):
        replace(task, forget=((1, 2), ()))


def test_throughput_needs_samples_and_time() -> None:
    assert Cost(seconds=2.0, forwards=6, backwards=0, samples=6).samples_per_second == 3.0
    assert Cost(seconds=0.0, forwards=0, backwards=0, samples=0).samples_per_second is None
