"""Converts an adapter folder of any layout into folders that `lethe init` takes, by `recommender.imports`."""

from __future__ import annotations

import json
from pathlib import Path

import transformers

from recommender.imports.importing import ADAPTER, BASE, import_adapter


def import_folders(
    base: str, adapter: str, out: Path, *, before: str | None, added_untrained: bool, as_json: bool
) -> None:
    """Write the folders of base and adapter, and print what was done with each group of tensors.

    Raises:
        RecommenderError: the input cannot be used. The message is one line; nothing is written.
    """
    transformers.utils.logging.disable_progress_bar()
    report = import_adapter(base, adapter, out, before=before, added_untrained=added_untrained)
    if as_json:
        print(json.dumps(report.to_plain(), indent=2, ensure_ascii=False))
        return
    for line in report.lines():
        print(line)
    print(f"written: {out / BASE} (digest {report.base_digest[:16]}) and {out / ADAPTER}")
    print(f"next: LETHE_BASE={out / BASE} lethe init --data FOLDER --adapter {out / ADAPTER}")
