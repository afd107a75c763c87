"""`python -m tests.guards`: exit code 1 if a guard can go without a test that notices, 2 if that cannot be told."""

from __future__ import annotations

import argparse
import signal
import sys
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path

from benchmarks.environment import environment
from benchmarks.tables import as_json
from tests.guards.checking import Checked, TestsFail, check
from tests.guards.removals import GuardMissing, Removal, of_guard, read_list
from tests.guards.results import as_result, markdown
from tests.services import ServicesMissing, provide

ROOT = Path(__file__).parents[2]
ROOMS = ("app", "cli", "model_store", "recommender", "tests", "unlearning", "worker")


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="make guards", description=__doc__)
    parser.add_argument("--guard", help="only the entries of this guard")
    parser.add_argument("--seconds", type=float, default=240, help="for the tests of one entry (%(default)s)")
    parser.add_argument(
        "--verbose", action="store_true", help="show the tests' output where nothing was noticed"
    )
    parser.add_argument("--json", type=Path, help="write the result here")
    parser.add_argument("--markdown", type=Path, help="write the table here")
    options = parser.parse_args(arguments)
    if options.guard and (options.json or options.markdown):
        parser.error("a result is of the whole list: leave --guard out")
    # Ended from outside, or in the background of a shell, it clears away all the same.
    for ending in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(ending, signal.default_int_handler)
    measured = environment(ROOMS)
    try:
        removals = of_guard(read_list(), options.guard) if options.guard else read_list()
        checked = _check(removals, options)
    except (GuardMissing, TestsFail, ServicesMissing) as error:
        print(error, file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        return 130
    noticed = sum(one.noticed for one in checked)
    print(f"{noticed} of {len(checked)} removals noticed")
    result = as_result(checked, measured)
    if options.json:
        options.json.write_text(as_json(result), encoding="utf-8")
    if options.markdown:
        options.markdown.write_text(markdown(result, checked), encoding="utf-8")
    return 0 if noticed == len(checked) else 1


def _check(removals: Sequence[Removal], options: argparse.Namespace) -> list[Checked]:
    def say(one: Checked) -> None:
        print(f"{one.word:<12}{one.removal.guard:<24}{one.removal.what}  ({one.run.seconds:.0f} s)")
        for test in one.removal.tests:
            print(f"{'':<12}{one.run.how(test):<24}{test}")
        if options.verbose and not one.noticed:
            print(one.run.output)
        sys.stdout.flush()

    with ExitStack() as stack:
        # Once, and not for every entry.
        if any("/integration/" in test for removal in removals for test in removal.tests):
            servers = provide()
            if servers is not None:
                stack.callback(servers.stop)
        return check(ROOT, removals, seconds=options.seconds, on_each=say)


if __name__ == "__main__":
    sys.exit(main())
