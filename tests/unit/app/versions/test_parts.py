"""What is said of each part of the service: done for these, and not for those."""

from app.versions.parts import parts_of


def states(**facts: object) -> dict[str, str]:
    return {part.name: part.state for part in parts_of(**facts)}  # type: ignore[arg-type]


def test_an_edited_adapter_is_not_called_re_fitted() -> None:
    assert states(exact=False, base_readers=0, retriever=False) == {
        "adapter": "edited",
        "base": "attested",
        "popularity list": "exact",
        "answers": "exact",
        "elsewhere": "not covered",
    }
    assert states(exact=True, base_readers=0, retriever=False)["adapter"] == "re-fitted"
    assert states(exact=None, base_readers=0, retriever=False)["adapter"] == "exact"


def test_a_base_that_has_read_somebody_is_never_called_clean() -> None:
    assert states(exact=True, base_readers=3, retriever=False)["base"] == "not covered"


def test_the_retriever_is_a_part_where_there_is_one() -> None:
    assert states(exact=True, base_readers=0, retriever=True)["retriever"] == "exact"
