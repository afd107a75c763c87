import resource
import subprocess
import sys

PROGRAM = """
import resource
resource.setrlimit(resource.RLIMIT_NOFILE, ({soft}, {hard}))
from cli.failures import CommandError
from cli.files import connections_that_fit
try:
    print(connections_that_fit(128), resource.getrlimit(resource.RLIMIT_NOFILE)[0])
except CommandError as error:
    print(error)
"""


def asked(soft: int, hard: int) -> str:
    program = PROGRAM.format(soft=soft, hard=hard)
    return subprocess.run(
        [sys.executable, "-c", program], check=True, capture_output=True, text=True
    ).stdout.strip()


def test_the_limit_is_raised_and_connections_stay_below_it() -> None:
    hard = min(4096, resource.getrlimit(resource.RLIMIT_NOFILE)[1])
    fit, soft = map(int, asked(256, hard).split())
    assert soft == hard
    assert fit == hard - 128 - 4 * 128


def test_too_few_files_are_an_error_that_says_what_to_do() -> None:
    assert asked(256, 300) == "this process may open 300 files and needs 648: raise the limit (ulimit -n)"
