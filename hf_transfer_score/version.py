"""The version and home page of the package, in a module without imports."""

from typing import Any

VERSION = "0.1.0"
LIBRARY: dict[str, Any] = {"library_name": "hf-transfer-score", "library_version": VERSION}
"""How clients identify themselves to the Hub."""

HOMEPAGE = "https://huggingface.co/hf-transfer-score"
