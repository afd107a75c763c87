"""Measurements: `lethe bench`."""

import os

# torch's profiler announces every start and stop of its own, above the level of its errors, and reads this when torch
# is loaded. What it fails to record is noticed by what is missing.
os.environ.setdefault("KINETO_LOG_LEVEL", "6")
