import pytest

from model_store import DigestMismatch, InvalidDigest
from model_store.digests import check_digest, checked, is_digest, require_digest, sha256_hex, sha256_of_pieces

# FIPS 180-2, example B.1
ABC = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"


def test_the_digest_is_sha256_in_lower_case() -> None:
    assert sha256_hex(b"abc") == ABC
    assert check_digest(ABC) == ABC


@pytest.mark.parametrize("text", [ABC.upper(), ABC[:-1], ABC + "0", f" {ABC[1:]}", "", None, 7, ABC.encode()])
def test_nothing_else_is_a_digest(text: object) -> None:
    assert not is_digest(text)
    with pytest.raises(InvalidDigest):
        check_digest(text)  # type: ignore[arg-type]  # what arrives from outside is not typed


def test_verification_passes_the_bytes_name_or_names_both_digests() -> None:
    require_digest(sha256_of_pieces([b"a", b"bc"]), ABC, "blob")
    with pytest.raises(DigestMismatch, match=f"blob {ABC} .* hash to {sha256_hex(b'abd')}"):
        require_digest(sha256_hex(b"abd"), ABC, "blob")


def test_pieces_are_passed_on_and_judged_after_the_last() -> None:
    assert list(checked([b"a", b"bc"], ABC, "name")) == [b"a", b"bc"]
    judged = checked([b"a", b"bd"], ABC, "name")
    assert [next(judged), next(judged)] == [b"a", b"bd"]
    with pytest.raises(DigestMismatch, match=f"name hashes to {sha256_hex(b'abd')}"):
        next(judged)
