from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.subjects import InvalidUserId, SubjectKey, subject_reference

KEY = SubjectKey(b"key")
ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._~:@-"


def test_the_subject_is_hmac_sha256() -> None:
    # printf alice | openssl dgst -sha256 -hmac key
    assert KEY.subject("alice") == "76fb55e929c06b97b01c35950ee5f72fe415b15ed3a7356c39e709906dbb5c45"


def test_another_key_gives_another_subject() -> None:
    assert KEY.subject("alice") != SubjectKey(b"other").subject("alice")


@given(st.text(ALPHABET, min_size=1, max_size=128))
def test_every_allowed_id_has_a_subject_that_does_not_contain_it(user_id: str) -> None:
    subject = KEY.subject(user_id)
    assert len(subject) == 64
    assert set(subject) <= set("0123456789abcdef")


@pytest.mark.parametrize("user_id", ["", "a" * 129, "a b", "a/b", "../etc", "a\n", "ä", "a\x00", "%61"])
def test_a_malformed_id_is_refused_without_repeating_it(user_id: str) -> None:
    with pytest.raises(InvalidUserId) as error:
        KEY.subject(user_id)
    assert not user_id or user_id not in str(error.value)


def test_a_key_must_not_be_empty() -> None:
    with pytest.raises(ValueError, match="empty"):
        SubjectKey(b"")


def test_the_check_value_tells_keys_apart_and_is_no_subject() -> None:
    assert KEY.check != SubjectKey(b"other").check
    assert KEY.check == SubjectKey(b"key").check


def test_the_reference_is_short() -> None:
    assert subject_reference("ab" * 32) == "s_abababababab"
