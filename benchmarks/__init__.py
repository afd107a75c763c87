"""Measurements: `lethe bench`."""

import os

# torch's profiler logs every start and stop at a higher level than its own errors. This variable silences both; torch
# reads it when it is loaded. A failure of the profiler still shows, because its records are then missing.
os.environ.setdefault("KINETO_LOG_LEVEL", "6")
