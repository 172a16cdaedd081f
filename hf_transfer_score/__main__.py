"""Run the command line as `python -m hf_transfer_score`."""

import sys

from hf_transfer_score.cli import main

if __name__ == "__main__":
    sys.exit(main())
