from app.db.chunks import in_chunks


def test_each_value_comes_once_and_in_order_in_lists_that_a_statement_can_take() -> None:
    values = [f"{number:04}" for number in range(2001)]
    chunks = in_chunks([*reversed(values), *values])
    assert [len(chunk) for chunk in chunks] == [1000, 1000, 1]
    assert [value for chunk in chunks for value in chunk] == values


def test_nothing_makes_no_chunk() -> None:
    assert in_chunks(frozenset()) == []
