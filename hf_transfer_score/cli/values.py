"""Values that several commands take, from the text that was typed."""

from __future__ import annotations

import argparse


def metric_names(text: str) -> list[str]:
    """Return names that were written with commas."""
    names = [name.strip() for name in text.split(",") if name.strip()]
    if not names:
        raise argparse.ArgumentTypeError("expected names with commas, such as face,ncti, or all")
    return names
