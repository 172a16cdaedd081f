"""The command line."""

from hf_transfer_score.cli.commands import main

__all__ = ["main"]
