"""The command line."""

from collections.abc import Sequence


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command and return its exit status; a Ctrl-C while its modules load ends it quietly too."""
    try:
        from hf_transfer_score.cli.app import main as run

        return run(argv)
    except KeyboardInterrupt:
        return 130


__all__ = ["main"]
