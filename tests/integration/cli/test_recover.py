"""`lethe recover` as somebody uses it who has just restored a database, and is in a hurry."""

from __future__ import annotations

from pathlib import Path

from tests.integration.cli.running import assert_one_line, lethe


def test_a_store_that_is_not_the_databases_is_refused(environment: dict[str, str], tmp_path: Path) -> None:
    """A slip in its address, or a mount that is missing: nobody to be forgotten is on record there."""
    assert lethe("migrate", **environment).returncode == 0
    assert "timeline 1 starts here" in lethe("recover", **environment).stdout
    elsewhere = environment | {"LETHE_STORE_URL": str(tmp_path / "elsewhere")}
    assert_one_line(lethe("recover", **elsewhere), "LETHE_STORE_URL", "not the store of this database")
    # Nor does anything else take it for an empty store of its own.
    assert_one_line(lethe("init", **elsewhere), "LETHE_STORE_URL", "recover --store-lost")
    again = lethe("recover", **environment)
    assert (again.returncode, "timeline 1 stands" in again.stdout) == (0, True), again.stdout + again.stderr


def test_a_store_that_is_lost_for_good(environment: dict[str, str], tmp_path: Path) -> None:
    lethe("migrate", **environment)
    lethe("recover", **environment)
    elsewhere = environment | {"LETHE_STORE_URL": str(tmp_path / "elsewhere")}
    begun = lethe("recover", "--store-lost", **elsewhere)
    assert (begun.returncode, "timeline 1 starts here" in begun.stdout) == (0, True), (
        begun.stdout + begun.stderr
    )
    assert "timeline 1 stands" in lethe("recover", **elsewhere).stdout


def test_a_dump_of_an_earlier_release_is_migrated_first(environment: dict[str, str]) -> None:
    assert_one_line(lethe("recover", **environment), "lethe migrate")
