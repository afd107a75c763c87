"""Cells, cursors, words and stages."""

from __future__ import annotations

import csv
import io
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.audit import queries as audit
from app.dashboard import cursors, words
from app.dashboard.cells import cell, rows
from app.dashboard.timeline import _AFTER, _SAID, happenings, stages
from app.db.models import RequestStatus, RunStatus
from app.db.models.statuses import SETTLED
from app.runs.history import spread

BEGAN = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)


@pytest.mark.parametrize("formula", ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1", " =1", "\n+1"])
def test_no_cell_is_a_formula(formula: str) -> None:
    assert cell(formula) == f"'{formula}"


def test_other_cells_are_as_they_are() -> None:
    assert [cell(value) for value in ("a=1", 7, None, "")] == ["a=1", "7", "", ""]


@given(st.lists(st.text(), max_size=4))
def test_a_file_of_cells_reads_back(values: list[str]) -> None:
    text = "".join(rows(["a"] * len(values), [values]))
    read = list(csv.reader(io.StringIO(text, newline="")))
    assert read[-1] == [cell(value) for value in values]


@given(st.datetimes(timezones=st.just(UTC)), st.integers(0, 2**53))
def test_a_cursor_reads_back(at: datetime, number: int) -> None:
    assert cursors.decode(cursors.encode(at, number)) == (at, number)


@pytest.mark.parametrize("mark", ["", "1", "1.", "x.1", "1.2.3", "999999999999999999.1", "1.-1", "1.1\n"])
def test_what_nobody_made_is_no_cursor(mark: str) -> None:
    assert cursors.decode(mark) is None


@pytest.mark.parametrize(
    ("seconds", "said"),
    [
        (0, "0 s"), (0.25, "250 ms"), (59.9, "59 s"), (61, "1 min 1 s"), (3600, "1 h 0 min"),
        (47 * 3600 + 60, "47 h 1 min"), (49 * 3600, "2 d 1 h"),
    ],
)  # fmt: skip
def test_a_duration_is_said_in_two_units(seconds: float, said: str) -> None:
    assert words.duration(seconds) == said


def test_R50_what_is_late_says_by_how_much() -> None:
    """Less than two days are said in hours."""
    assert words.left(BEGAN + timedelta(hours=30), BEGAN) == "30 h 0 min"
    assert words.left(BEGAN, BEGAN) == "0 s"
    assert words.left(BEGAN, BEGAN + timedelta(minutes=5)) == "late by 5 min 0 s"


@pytest.mark.parametrize("state", [*RequestStatus, *RunStatus])
def test_no_state_is_told_by_its_colour_alone(state: str) -> None:
    assert words.sign(state)
    assert "_" not in words.spoken(state)


def test_figures_are_short() -> None:
    assert [words.figure(value) for value in (None, 0.00204123, 12345.6, 0.1)] == [
        "–",
        "0.00204",
        "12,346",
        "0.1",
    ]
    assert words.short("fr_" + "a" * 32) == "fr_" + "a" * 12


@dataclass
class Entry:
    action: str
    minutes: int
    data: dict[str, Any] = field(default_factory=dict)
    actor: str = "worker"

    @property
    def recorded_at(self) -> datetime:
        return BEGAN + timedelta(minutes=self.minutes)


def test_stages_follow_each_other_and_end_with_the_request() -> None:
    happened = happenings(
        [
            Entry("forget.accepted", 0, {"epoch": 4}),
            Entry("run.claimed", 10, {"claim": 1}),
            Entry("run.attempted", 12, {"step": 0, "method": "ucan", "decision": "fail"}),
            Entry("version.published", 30, {"generation": 2, "erasure_floor": 4, "version": "d" * 64}),
            Entry("forget.completed", 40),
        ]
    )
    found = stages(happened, BEGAN + timedelta(days=1), SETTLED)
    assert [(stage.status, round(stage.share, 6)) for stage in found] == [
        ("queued", 0.25),
        ("unlearning", 0.5),
        ("deploying", 0.25),
        ("completed", 0.0),
    ]
    assert [one.said for one in happened][:3] == [
        "Accepted and suppressed, under epoch 4",
        "A worker claimed the run, claim 1",
        "Rung 0, ucan: fail",
    ]
    assert happened[3].version == "d" * 64


def test_the_stage_that_lasts_goes_up_to_now() -> None:
    found = stages(happenings([Entry("forget.accepted", 0)]), BEGAN + timedelta(minutes=5), SETTLED)
    assert [(stage.status, stage.ended, stage.share) for stage in found] == [("queued", None, 1.0)]
    assert found[0].seconds(BEGAN + timedelta(minutes=5)) == 300
    assert stages([], BEGAN, SETTLED) == []


def test_an_entry_of_another_release_is_shown_by_its_name() -> None:
    assert [one.said for one in happenings([Entry("forget.moved", 0), Entry("run.claimed", 1)])] == [
        "forget: moved",
        "run: claimed",
    ]


def test_the_timeline_names_events_that_there_are() -> None:
    assert set(_AFTER) | set(_SAID) <= set(audit.actions())
    every = {"forget.accepted", "audit.exported", "consolidation.completed", "forget.denied"}
    assert every <= set(audit.actions())


def test_percentiles_are_of_the_nearest_rank() -> None:
    found = spread([float(number) for number in range(1, 101)])
    assert (found.count, found.median, found.p95) == (100, 50.0, 95.0)
    assert spread([3.0]).p95 == 3.0
    assert spread([]).median is None
