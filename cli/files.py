"""How many files this process may hold open."""

from __future__ import annotations

import resource

from cli.failures import CommandError

# Files for the model, the database, the broker, the store and the log.
_OWN_FILES = 128
# When a new connection makes an older one close, the older one is really closed after so many ticks of the event loop.
_TICKS = 4
_FEWEST = 8
# More is never needed, and not every system accepts an unlimited number.
_MOST = 2**17


def connections_that_fit(backlog: int) -> int:
    """Raise the limit of open files as far as allowed. Returns how many connections fit beside the process's own files.

    When a process has no file left, asyncio accepts no connection and logs a traceback for each try.

    Args:
        backlog: connections that arrive at once.

    Raises:
        CommandError: the limit is too low for the fewest connections.
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
