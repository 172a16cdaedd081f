"""Requirements of Spaces: pinned, and within the ranges of the package."""

import re
from collections.abc import Iterable
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[2]


def ranges() -> dict[str, Requirement]:
    """Return what the package asks for, by name."""
    text = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    found = [Requirement(one) for one in re.findall(r'"([A-Za-z0-9_.-]+(?:\[\w+\])?>=[^"]+)"', text)]
    return {canonicalize_name(one.name): one for one in found}


def check_pins(required: Iterable[str]) -> None:
    """Fail where a requirement is not one version, named once, within the range of the package."""
    pins = [Requirement(one) for one in required]
    assert len({canonicalize_name(one.name) for one in pins}) == len(pins)
    allowed = ranges()
    for one in pins:
        (pin,) = one.specifier
        assert pin.operator == "==" and "*" not in pin.version, one
        own = allowed.get(canonicalize_name(one.name))
        assert own is None or own.specifier.contains(pin.version), f"{one}: the package has {own}"
