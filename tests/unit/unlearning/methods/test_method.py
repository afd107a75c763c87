from dataclasses import replace

import pytest

from unlearning import ForgetTask
from unlearning.errors import InvalidTask


def test_a_task_needs_subjects_and_retained_users_with_events(task: ForgetTask) -> None:
    with pytest.raises(InvalidTask, match="forget is empty"):
        replace(task, forget=())
    with pytest.raises(InvalidTask, match="retain is empty"):
        replace(task, retain=())
    with pytest.raises(InvalidTask, match="forget holds an empty sequence"):
        replace(task, forget=((1, 2), ()))


def test_marks_fit_the_forget_sequences(task: ForgetTask) -> None:
    short = replace(task, forget=((1, 2, 3), (4, 5)))
    marks = ((False, True, False), (True, True))
    assert replace(short, forget_targets=marks).forget_targets == marks


@pytest.mark.parametrize(
    "marks",
    [
        ((True, True, True),),
        ((True, True, True), (True, True), (True,)),
        ((True, True), (True, True)),
        ((True, True, True, True), (True, True)),
        ((True, True, True), (False, False)),
        (),
    ],
    ids=["sequence missing", "sequence too many", "mark missing", "mark too many", "nothing marked", "none"],
)
def test_marks_that_do_not_fit_are_refused(task: ForgetTask, marks: tuple[tuple[bool, ...], ...]) -> None:
    with pytest.raises(InvalidTask, match="forget_targets must mark each item"):
        replace(task, forget=((1, 2, 3), (4, 5)), forget_targets=marks)
