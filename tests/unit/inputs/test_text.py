"""Which spellings are one id, and what is text."""

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inputs import MAX_ID_CHARACTERS, MAX_TITLE_CHARACTERS, InvalidInput, identifier, title


@pytest.mark.parametrize(
    "value",
    [
        "auth0|5f7c8ec7c33c6c004bbafe82",
        "google-oauth2|1234",
        "user+tag@example.org",
        "CN=Ada Lovelace,OU=people,DC=example",
        "a/b/../c",
        "..",
        "Zoë",
        "李雷",
        "\N{WOMAN}\N{ZERO WIDTH JOINER}\N{PERSONAL COMPUTER}",
        "soft\N{SOFT HYPHEN}hyphen",
        "no\N{NO-BREAK SPACE}break",
        "ideo\N{IDEOGRAPHIC SPACE}graphic",
        "می\N{ZERO WIDTH NON-JOINER}خواهم",
        "%2F",
        "1.05",
        "x" * MAX_ID_CHARACTERS,
    ],
)
def test_what_identity_providers_write_is_an_id_as_it_is(value: str) -> None:
    assert identifier(value) == value


@pytest.mark.parametrize(
    ("value", "same"),
    [
        ("Zoe\N{COMBINING DIAERESIS}", "Zo\N{LATIN SMALL LETTER E WITH DIAERESIS}"),
        ("  ada ", "ada"),
        ("\N{NO-BREAK SPACE}ada", "ada"),
        ("42.0", "42"),
        ("42.000", "42"),
        ("-7.0", "-7"),
        ("007.0", "007"),
    ],
)
def test_two_spellings_of_one_id(value: str, same: str) -> None:
    assert identifier(value) == identifier(same) == same


@pytest.mark.parametrize("value", ["", "   ", "nan", "NaN", "null", "None", "<NA>"])
def test_a_missing_value_is_no_id(value: str) -> None:
    with pytest.raises(InvalidInput, match="is missing"):
        identifier(value)


@pytest.mark.parametrize("value", [f"{2**53}.0", f"-{2**53 + 2}.0", "1234567890123456789012.00"])
def test_a_float_that_may_have_lost_digits_is_no_id(value: str) -> None:
    with pytest.raises(InvalidInput, match="lost digits"):
        identifier(value)
    assert identifier(f"{2**53 - 1}.0") == str(2**53 - 1)
    assert identifier(str(2**53)) == str(2**53)


@given(st.text(max_size=8))
def test_text_is_told_by_the_category_of_its_characters(value: str) -> None:
    no_text = any(unicodedata.category(character) in {"Cc", "Cs", "Zl", "Zp"} for character in value)
    try:
        title(value)
    except InvalidInput:
        assert no_text
    else:
        assert not no_text


@pytest.mark.parametrize(
    "value", ["a\nb", "ada\n", "a\tb", "a\x00b", "a\x85b", "a\u2028b", "a\u2029b", "a\udcffb"]
)
def test_control_characters_and_line_breaks_are_no_text(value: str) -> None:
    for read in (identifier, title):
        with pytest.raises(InvalidInput, match="control character"):
            read(value)


def test_too_long_is_refused_by_characters_not_bytes() -> None:
    assert len(identifier("李" * MAX_ID_CHARACTERS).encode()) == 3 * MAX_ID_CHARACTERS
    with pytest.raises(InvalidInput, match="more than 256 characters"):
        identifier("x" * (MAX_ID_CHARACTERS + 1))
    with pytest.raises(InvalidInput, match="more than 2048 characters"):
        title("x" * (MAX_TITLE_CHARACTERS + 1))


def test_a_title_may_be_empty() -> None:
    assert title("  ") == ""


@given(st.text(max_size=300))
def test_an_id_is_its_own_id(value: str) -> None:
    try:
        found = identifier(value)
    except InvalidInput:
        return
    assert identifier(found) == found == unicodedata.normalize("NFC", found)
    assert found.encode().decode() == found


@pytest.mark.parametrize("value", ["ada\nlovelace", "ada" * 100])
def test_an_error_never_quotes_the_value(value: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        identifier(value)
    assert "ada" not in str(caught.value)
