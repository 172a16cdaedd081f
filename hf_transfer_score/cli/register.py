"""`register`: put the evaluate modules where evaluate looks for them."""

from __future__ import annotations

from hf_transfer_score.cli.output import write
from hf_transfer_score.evaluate_modules.install import register as install_modules


def register() -> int:
    """Make evaluate.load find the metrics.

    It puts the evaluate modules of this package where evaluate looks for metrics, so that
    evaluate.load("face_transferability") works, offline too.
    """
    paths = install_modules()
    write("".join(f"installed {path}\n" for path in paths))
    write("".join(f'use it by evaluate.load("{path.stem}")\n' for path in paths))
    return 0
