"""`python -m docs.generate`: write every generated page."""

from __future__ import annotations

from docs.generate.pages import PAGES


def main() -> None:
    """Write every generated page."""
    for path, write in PAGES.items():
        path.write_text(write(), encoding="utf-8")


if __name__ == "__main__":
    main()
