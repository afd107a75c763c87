from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.subjects import SubjectKey, subject_reference
from inputs import InvalidInput, identifier

KEY = SubjectKey(b"key")
# Letters, marks, numbers, punctuation, symbols, spaces, joiners: whatever is text.
TEXT = st.text(st.characters(exclude_categories=["Cc", "Cs", "Zl", "Zp"]), min_size=1, max_size=40)


@pytest.mark.parametrize(
    ("user_id", "subject"),
    [
        # printf alice | openssl dgst -sha256 -hmac key: as every release has named them.
        ("alice", "76fb55e929c06b97b01c35950ee5f72fe415b15ed3a7356c39e709906dbb5c45"),
        ("A-z_0.9~:@", "06cda56e4f1ea5d10a8b3340e5d81289b4b1edbf12c57cfadbda8478ef986be9"),
        ("auth0|5f+=/ x", "dee48ed2d9c8cef809621b6b6ac6e8e79eb26d856f9ba847b93e2d58676c7144"),
        ("Zoë", "7001a28a0003b3c4116cc51ee64e2d74018cdba2782844d4b60b9b5800b7b6e6"),
    ],
)
def test_the_subject_is_hmac_sha256_over_utf8(user_id: str, subject: str) -> None:
    assert KEY.subject(user_id) == subject


def test_another_key_gives_another_subject() -> None:
    assert KEY.subject("alice") != SubjectKey(b"other").subject("alice")


def test_spellings_of_one_id_are_one_subject() -> None:
    spellings = ["Zoë", unicodedata.normalize("NFD", "Zoë"), " Zoë", "Zoë\N{NO-BREAK SPACE}"]
    assert len({KEY.subject(spelled) for spelled in spellings}) == 1


@given(TEXT)
def test_every_id_has_a_subject_that_does_not_contain_it_and_is_not_the_check(text: str) -> None:
    try:
        found = identifier(text)
    except InvalidInput:
        return
    subject = KEY.subject(text)
    assert len(subject) == 64
    assert set(subject) <= set("0123456789abcdef")
    assert subject == KEY.subject(found)
    assert subject != KEY.check


@pytest.mark.parametrize("user_id", ["", "  ", "nan", "a" * 257, "a\n", "\x00subject key check", "a\ud800"])
def test_what_is_no_id_is_refused_without_repeating_it(user_id: str) -> None:
    with pytest.raises(InvalidInput) as error:
        KEY.subject(user_id)
    assert not user_id.strip() or user_id not in str(error.value)


def test_a_key_must_not_be_empty() -> None:
    with pytest.raises(ValueError, match="empty"):
        SubjectKey(b"")


def test_the_check_value_tells_keys_apart_and_stays_what_it_is_in_existing_databases() -> None:
    assert KEY.check != SubjectKey(b"other").check
    # printf 'subject key check' | openssl dgst -sha256 -hmac key
    assert KEY.check == "7cfa7828ede4715be9ef7457a0dc2e57701426c9e444e51296d6e152f1bd59e3"


def test_the_check_value_is_no_subject_though_its_text_is_an_id() -> None:
    # printf '\0subject key check' | openssl dgst -sha256 -hmac key
    named = KEY.subject("subject key check")
    assert named == "00f3cff417541dbbec2d5d5adbb6f9a85ba6ec48c2f363d9b13564acf0bc8aac"
    assert named == KEY.subject(" subject key check ")
    assert named != KEY.check


def test_the_reference_is_short() -> None:
    assert subject_reference("ab" * 32) == "s_abababababab"
