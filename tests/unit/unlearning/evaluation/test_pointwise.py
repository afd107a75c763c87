"""The held-out area of two models and the error of their difference, by hand."""

from __future__ import annotations

import math

import pytest
import torch

from unlearning.evaluation.pointwise import auc, held_out_auc, log_loss
from unlearning.evaluation.reading import Reading


def reading(*events: tuple[float, bool]) -> Reading:
    """From P(yes) and the label of each event."""
    liked = torch.tensor([label for _, label in events])
    nll = torch.tensor([-math.log(yes if label else 1.0 - yes) for yes, label in events])
    return Reading(nll, torch.empty(0, dtype=torch.int64), liked)


# Two users with a training event, which does not count here, and two held-out ones.
PARENT = [reading((0.5, True), (0.9, True), (0.2, False)), reading((0.5, True), (0.6, True), (0.7, False))]
CANDIDATE = [reading((0.5, True), (0.9, True), (0.2, False)), reading((0.5, True), (0.1, True), (0.7, False))]


def test_the_areas_by_hand() -> None:
    found = held_out_auc(PARENT, CANDIDATE, 2)
    # Liked 0.9 and 0.6 against disliked 0.2 and 0.7: three of four pairs. Then 0.1 is below both: two of four.
    assert (found.parent, found.candidate) == (0.75, 0.5)
    assert (found.users, found.liked, found.disliked) == (2, 2, 2)


def test_the_error_of_the_difference_by_hand() -> None:
    found = held_out_auc(PARENT, CANDIDATE, 2)
    # Components of the parent: liked 1 and 1/2, disliked 1 and 1/2. Of the candidate: liked 1 and 0, disliked 1/2
    # twice.
    # Each less its area and over the two events of its label, candidate less parent: 1/8 and -1/8 of the first user,
    # -1/8 and 1/8 of the second one. By user they cancel.
    assert found.standard_error == pytest.approx(0.0, abs=1e-9)
    # The same events of four users cancel no more.
    apart = [
        [reading((0.5, True), (yes, label)) for yes, label in events]
        for events in (
            [(0.9, True), (0.2, False), (0.6, True), (0.7, False)],
            [(0.9, True), (0.2, False), (0.1, True), (0.7, False)],
        )
    ]
    single = held_out_auc(apart[0], apart[1], 1)
    # Four users with 1/8, -1/8, -1/8 and 1/8: the root of 4/64 times 4/3.
    assert single.standard_error == pytest.approx(math.sqrt(4 / 64 * 4 / 3))
    assert held_out_auc(PARENT, PARENT, 2).standard_error == 0.0


def test_one_label_is_nothing_to_tell_apart() -> None:
    alike = [reading((0.5, True), (0.9, True), (0.2, True))] * 2
    found = held_out_auc(alike, alike, 2)
    assert (found.parent, found.candidate, found.liked, found.disliked) == (None, None, 4, 0)
    assert auc("one", alike, "higher").value is None


def test_metrics_by_hand() -> None:
    # Of the two disliked, 0.5 is above one, 0.9 above both, 0.6 above one.
    assert auc("two", PARENT, "higher").value == pytest.approx((0.5 + 1.0 + 0.5 + 0.5) / 4)
    found = log_loss("loss", [reading((0.5, True), (0.25, False))], "lower")
    assert (found.value, found.count) == (pytest.approx((math.log(2) - math.log(0.75)) / 2), 2)
