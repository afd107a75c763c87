"""`python -m tests.model`: exit code 1 if a promise can be broken, or if a variant breaks none."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from tests.model.search import search
from tests.model.variants import MORE_SIZES, SIZES, VARIANTS


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.model", description=__doc__)
    parser.add_argument("--more", action="store_true", help="search larger sizes too; takes a minute")
    options = parser.parse_args(arguments)
    wrong = 0
    for name, size in (SIZES | (MORE_SIZES if options.more else {})).items():
        found = search(size)
        print(f"{name}: {found.states} states, {found.promise or 'every promise holds'}")
        _print_steps(found.trace)
        wrong += found.promise is not None
    for variant in VARIANTS:
        found = search(variant.size, variant.rules)
        print(f"\nwithout {variant.without}: {found.promise or 'NOTHING IS BROKEN'}")
        _print_steps(found.trace)
        wrong += found.promise is None
    return 1 if wrong else 0


def _print_steps(trace: Sequence[str]) -> None:
    for number, step in enumerate(trace, 1):
        print(f"  {number:2}. {step}")


if __name__ == "__main__":
    sys.exit(main())
