"""How many files this process may hold open."""

from __future__ import annotations

import resource

from cli.failures import CommandError

# For the model, the database, the broker, the store and the log.
_OWN_FILES = 128
# Ticks of the server's loop from a connection's arrival until the one that makes room for it is really closed.
_TICKS = 4
_FEWEST = 8
# More is never needed, and not every system takes "without limit".
_MOST = 2**17


def connections_that_fit(backlog: int) -> int:
    """Raise the limit as far as this user may, and say how many connections leave room for what else is open.

    With no file left asyncio accepts nothing more and writes a traceback for each try.

    Args:
        backlog: connections that arrive at once.

    Raises:
        CommandError: there is no room for any.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    files = _MOST if hard == resource.RLIM_INFINITY else min(hard, _MOST)
    if soft != resource.RLIM_INFINITY and soft < files:
        resource.setrlimit(resource.RLIMIT_NOFILE, (files, hard))
    fit = files - _OWN_FILES - _TICKS * backlog
    if fit < _FEWEST:
        needed = _OWN_FILES + _TICKS * backlog + _FEWEST
        raise CommandError(
            f"this process may open {files} files and needs {needed}: raise the limit (ulimit -n)"
        )
    return fit
