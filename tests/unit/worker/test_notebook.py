"""What a worker notes of a run."""

from __future__ import annotations

import pytest

from app.runs.notes import NoteKind
from unlearning import Progress
from worker import notebook
from worker.notebook import Notebook, copy_into_run


def test_a_long_training_is_noted_as_often_as_a_curve_needs_it() -> None:
    notes = Notebook()
    for step in range(1, 1001):
        notes.loss("refit", Progress("re-fit", step, 1000, 1.0 / step))
    steps = [note.data["step"] for note in notes.take()]
    assert steps == [1, *range(10, 1001, 10)]
    assert notes.take() == []


def test_steps_without_a_loss_are_no_points() -> None:
    notes = Notebook()
    notes.loss("ucan", Progress("activations", 1, 1))
    assert notes.take() == []


def test_lines_are_copied_while_a_run_is_worked_on_and_without_what_is_no_word_or_number() -> None:
    line = {"event": "attempt.judged", "level": "info", "step": 1, "exc_info": object(), "run_id": "ur_1"}
    notes = Notebook()
    assert copy_into_run(None, "info", dict(line)) == line
    notebook.begin(notes)
    try:
        # What is logged is not changed by the copy.
        assert copy_into_run(None, "info", dict(line)) == line
    finally:
        notebook.end()
    copy_into_run(None, "info", dict(line))
    (note,) = notes.take()
    assert (note.kind, note.data) == (NoteKind.SAID, {"event": "attempt.judged", "level": "info", "step": 1})


@pytest.mark.parametrize("name", ["kind", "self", "note_kind", "fields", "data"])
def test_a_line_may_have_a_field_of_any_name(name: str) -> None:
    """An error in here would be one of whoever logs: it would end their run."""
    notes = Notebook()
    notes.say("run.claimed", "info", {name: "forget"})
    (note,) = notes.take()
    assert (note.kind, note.data[name]) == (NoteKind.SAID, "forget")


def test_no_claim_fills_the_table() -> None:
    notes = Notebook()
    for _ in range(notebook._MOST_NOTES + 10):
        notes.say("again", "info", {})
    assert len(notes.take()) == notebook._MOST_NOTES


def test_memory_is_noted_when_it_has_changed() -> None:
    notes = Notebook()
    notes.memory()
    notes.memory()
    (note,) = notes.take()
    assert note.data["process"] > 1_000_000
    assert note.data["accelerator"] is None or note.data["accelerator"] >= 0
