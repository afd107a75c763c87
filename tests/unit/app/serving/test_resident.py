import gc
import threading

from app.serving.resident import ResidentVersions


class Piece:
    """Something that can be watched."""


def test_a_version_is_resident_until_its_last_piece_is_gone() -> None:
    resident = ResidentVersions()
    pieces, other = [Piece(), Piece()], Piece()
    resident.watch("b", pieces)
    resident.watch("a", [other])
    assert resident.versions() == ("a", "b")
    assert resident.counts() == {"a": 1, "b": 2}
    pieces.pop()
    assert resident.counts() == {"a": 1, "b": 1}
    pieces.clear()
    assert resident.versions() == ("a",)
    del other
    assert resident.versions() == ()


def test_the_same_version_loaded_twice_is_resident_until_both_are_gone() -> None:
    resident = ResidentVersions()
    first, second = Piece(), Piece()
    resident.watch("a", [first])
    resident.watch("a", [second])
    del first
    assert resident.versions() == ("a",)
    del second
    assert resident.versions() == ()


def test_a_collection_in_the_middle_of_anything_does_not_lock_up() -> None:
    """Finalisers run wherever the collector does, also on a thread that holds the lock."""
    resident = ResidentVersions()
    threshold = gc.get_threshold()
    gc.set_threshold(1)

    def churn() -> None:
        for _ in range(300):
            piece = Piece()
            piece.itself = piece  # type: ignore[attr-defined]
            resident.watch("a", [piece])
            resident.versions()

    try:
        threads = [threading.Thread(target=churn, daemon=True) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(30)
        assert not [thread for thread in threads if thread.is_alive()]
    finally:
        gc.set_threshold(*threshold)
    gc.collect()
    assert resident.versions() == ()
