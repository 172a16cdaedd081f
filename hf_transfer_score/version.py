"""The version and the address of the package, in a module that loads nothing."""

from typing import Any

VERSION = "0.1.0"
LIBRARY: dict[str, Any] = {"library_name": "hf-transfer-score", "library_version": VERSION}
"""What clients tell the Hub of who asks."""

HOMEPAGE = "https://pypi.org/project/hf-transfer-score/"
