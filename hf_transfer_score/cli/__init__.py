"""The command line."""

from hf_transfer_score.cli.app import main

__all__ = ["main"]
