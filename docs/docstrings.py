"""Let the site show what our docstrings call `Example:` as code that was run, which griffe knows as `Examples:`."""

from __future__ import annotations

import re
from typing import Any

from griffe import Extension, Object


class Examples(Extension):
    """Renames the section before it is parsed."""

    def on_object(self, *, obj: Object, **_: Any) -> None:
        """Look at one object that was read."""
        if obj.docstring is not None:
            obj.docstring.value = re.sub(r"(?m)^( *)Example:$", r"\1Examples:", obj.docstring.value)
