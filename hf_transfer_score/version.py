"""The version and the address of the package, in a module that loads nothing."""

VERSION = "0.1.0"
HOMEPAGE = "https://pypi.org/project/hf-transfer-score/"
