import math
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.unlearning.examples import POLICY, subject
from unlearning.evaluation.report import MeanGain, NeverSeenGain
from unlearning.gate.band import Band, member_z_score, never_member_band, power, z_score

# Level variance 0.36 around 2, memory 1 with variance (0.8 * 1)^2 = 0.64; the parent's gain of 4 is 1 more than 2 + 1.
EVIDENCE = replace(
    subject(), candidate=MeanGain(2.5, 2.1, 0.6), parent=MeanGain(4.0, 2.0, 0.6), memory=1.0, memory_scale=1.0
)
EXAMPLE = replace(POLICY, memory_variation=0.8)


def test_the_band_by_hand() -> None:
    # Weight 0.36 / (0.36 + 0.64) = 0.36 of the surprise of 1; variance 0.36 * 0.64 = 0.2304 = 0.48^2.
    band = never_member_band(EVIDENCE, EVIDENCE.candidate, EXAMPLE)
    assert band.expected == pytest.approx(2.1 + 0.36)
    assert band.deviation == pytest.approx(0.48)
    assert z_score(EVIDENCE, EXAMPLE) == pytest.approx((2.5 - 2.46) / 0.48)
    assert member_z_score(EVIDENCE, EXAMPLE) == pytest.approx((4.0 - 2.36) / 0.48)
    assert power(EVIDENCE, EXAMPLE) == pytest.approx(1 / 0.48)


def test_the_reference_error_widens_the_band() -> None:
    # hypot(0.48, 0.36) = 0.6
    wide = replace(EXAMPLE, reference_error=0.36)
    assert never_member_band(EVIDENCE, EVIDENCE.candidate, wide).deviation == pytest.approx(0.6)


def test_a_memory_that_varies_without_bound_leaves_the_level_alone() -> None:
    band = never_member_band(EVIDENCE, EVIDENCE.candidate, replace(POLICY, memory_variation=1e6))
    assert (band.expected, band.deviation) == (pytest.approx(2.1), pytest.approx(0.6))


def test_a_memory_that_never_varies_is_subtracted_from_the_parents_gain() -> None:
    band = never_member_band(EVIDENCE, EVIDENCE.parent, replace(POLICY, memory_variation=0.0))
    assert (band.expected, band.deviation) == (pytest.approx(4.0 - 1.0), 0.0)


def test_a_level_and_a_memory_that_are_both_certain_leave_what_is_expected() -> None:
    certain = replace(EVIDENCE, memory_scale=0.0)
    band = never_member_band(certain, MeanGain(2.5, 2.1, 0.0), replace(POLICY, reference_error=0.5))
    assert (band.expected, band.deviation) == (2.1, 0.5)


def test_no_width_at_all_is_all_or_nothing() -> None:
    assert Band(2.0, 0.0).z(2.0) == 0.0
    assert Band(2.0, 0.0).z(1.9) == -math.inf


def test_what_adapters_without_the_subject_show_is_the_band() -> None:
    # Nothing is predicted, so neither memory nor the parent's gain matters. hypot(0.3, 0.4) = 0.5.
    known = replace(EVIDENCE, never_seen=NeverSeenGain(2.2, 0.3, 5.2))
    policy = replace(EXAMPLE, reference_error=0.4)
    for model in (known.candidate, known.parent):
        band = never_member_band(known, model, policy)
        assert (band.expected, band.deviation) == (pytest.approx(2.2), pytest.approx(0.5))
    assert z_score(known, policy) == pytest.approx((2.5 - 2.2) / 0.5)
    # The model that the level was made for knew the subject, whatever later edits did to the parent.
    assert member_z_score(known, policy) == pytest.approx((5.2 - 2.2) / 0.5)
    assert power(known, policy) == pytest.approx(1 / 0.5)


@given(st.floats(-5, 5), st.floats(-5, 5), st.floats(0.1, 5))
def test_the_examples_lie_where_they_say(z: float, parent_z: float, member_z: float) -> None:
    evidence = subject(z, parent_z=parent_z, member_z=member_z)
    assert z_score(evidence, POLICY) == pytest.approx(z, abs=1e-9)
    assert member_z_score(evidence, POLICY) == pytest.approx(parent_z, abs=1e-9)
    assert power(evidence, POLICY) == pytest.approx(member_z, abs=1e-9)
