"""`python -m tests.mutation`: how many small changes to the pure core its unit tests notice.

Exit code 1 if they notice fewer than the share asked for, 2 if that cannot be told.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from tests.mutation.targets import ROOT, TARGETS
from tests.mutation.trying import Tried, run

_CACHE = ROOT / ".mutation_cache.json"


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="make mutation", description=__doc__)
    parser.add_argument("files", nargs="*", metavar="FILE", help="only these; all of the core by default")
    parser.add_argument(
        "--share", type=float, default=1.0, help="of each file's mutants, drawn (%(default)s)"
    )
    parser.add_argument("--seed", type=int, default=0, help="of the draw (%(default)s)")
    parser.add_argument("--wanted", type=float, default=85, help="percent (%(default)s)")
    parser.add_argument("--anew", action="store_true", help="try every mutant, whatever is in the cache")
    parser.add_argument("--markdown", type=Path, help="write the tables here")
    options = parser.parse_args(arguments)
    files = options.files or list(TARGETS)
    unknown = sorted(set(files) - TARGETS.keys())
    if unknown:
        parser.error(f"not of the core: {', '.join(unknown)}")
    found = run(files, share=options.share, seed=options.seed, cache=None if options.anew else _CACHE)
    if found.failing or not found.tried:
        print(f"their own tests fail as they are: {', '.join(found.failing)}", file=sys.stderr)
        return 2
    print(_scores(found.tried))
    if options.markdown:
        options.markdown.write_text(
            f"{_scores(found.tried)}\n\n{_survivors(found.tried)}\n", encoding="utf-8"
        )
    return 0 if _percent(found.tried) >= options.wanted else 1


def _scores(tried: Sequence[Tried]) -> str:
    rows = ["| file | mutants | tried | noticed | score |", "| --- | --- | --- | --- | --- |"]
    rows += [f"| `{one.file}` | {_figures([one])} |" for one in tried]
    return "\n".join([*rows, f"| all | {_figures(tried)} |"])


def _figures(tried: Sequence[Tried]) -> str:
    drawn = sum(one.drawn for one in tried)
    noticed = drawn - sum(len(one.survivors) for one in tried)
    return f"{sum(one.all for one in tried)} | {drawn} | {noticed} | {_percent(tried):.1f} %"


def _percent(tried: Sequence[Tried]) -> float:
    drawn = sum(one.drawn for one in tried)
    return 100 * (1 - sum(len(one.survivors) for one in tried) / drawn) if drawn else 100.0


def _survivors(tried: Sequence[Tried]) -> str:
    rows = ["| file | line | change that no test noticed |", "| --- | --- | --- |"]
    for one in tried:
        for mutant in one.survivors:
            change = " ".join(mutant.what.split()).replace("|", "\\|")
            rows.append(f"| `{one.file}` | {mutant.line} | `{change}` |")
    return "\n".join(rows)


if __name__ == "__main__":
    sys.exit(main())
