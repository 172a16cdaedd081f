"""A small validator of JSON Schema, written from the standard alone; a keyword it does not know is an error."""

from __future__ import annotations

import re
from typing import Any

TYPES = {
    "object": lambda value: isinstance(value, dict),
    "array": lambda value: isinstance(value, list),
    "string": lambda value: isinstance(value, str),
    "null": lambda value: value is None,
    "boolean": lambda value: isinstance(value, bool),
    "integer": lambda value: not isinstance(value, bool) and isinstance(value, (int, float)) and value == int(value),
    "number": lambda value: not isinstance(value, bool) and isinstance(value, (int, float)),
}
ABOUT = {"$schema", "$defs", "title", "description", "additionalProperties", "then"}


class Validator:
    """Tells whether values keep to a schema."""

    def __init__(self, schema: dict[str, Any]) -> None:
        self.root = schema

    def accepts(self, value: Any, schema: Any = None) -> bool:
        schema = self.root if schema is None else schema
        if isinstance(schema, bool):
            return schema
        if "properties" not in schema and "additionalProperties" in schema:
            schema = {**schema, "properties": {}}
        rules = {key: rule for key, rule in schema.items() if key not in ABOUT}
        return all(getattr(self, f"_{key.removeprefix('$')}")(value, rule, schema) for key, rule in rules.items())

    def _ref(self, value, rule, schema):
        found = self.root
        for part in rule.removeprefix("#/").split("/"):
            found = found[part]
        return self.accepts(value, found)

    def _type(self, value, rule, schema):
        return any(TYPES[one](value) for one in ([rule] if isinstance(rule, str) else rule))

    def _const(self, value, rule, schema):
        return value == rule and isinstance(value, bool) == isinstance(rule, bool)

    def _enum(self, value, rule, schema):
        return any(self._const(value, one, schema) for one in rule)

    def _properties(self, value, rule, schema):
        found = value if isinstance(value, dict) else {}
        rest = schema.get("additionalProperties", True)
        others = [one for name, one in found.items() if name not in rule]
        named = all(self.accepts(found[name], one) for name, one in rule.items() if name in found)
        return named and all(self.accepts(one, rest) for one in others)

    def _required(self, value, rule, schema):
        return not isinstance(value, dict) or set(rule) <= set(value)

    def _minProperties(self, value, rule, schema):  # noqa: N802
        return not isinstance(value, dict) or len(value) >= rule

    def _maxProperties(self, value, rule, schema):  # noqa: N802
        return not isinstance(value, dict) or len(value) <= rule

    def _items(self, value, rule, schema):
        return not isinstance(value, list) or all(self.accepts(one, rule) for one in value)

    def _minItems(self, value, rule, schema):  # noqa: N802
        return not isinstance(value, list) or len(value) >= rule

    def _maxItems(self, value, rule, schema):  # noqa: N802
        return not isinstance(value, list) or len(value) <= rule

    def _minimum(self, value, rule, schema):
        return not TYPES["number"](value) or value >= rule

    def _maximum(self, value, rule, schema):
        return not TYPES["number"](value) or value <= rule

    def _pattern(self, value, rule, schema):
        return not isinstance(value, str) or re.search(rule, value) is not None

    def _maxLength(self, value, rule, schema):  # noqa: N802
        return not isinstance(value, str) or len(value) <= rule

    def _exclusiveMinimum(self, value, rule, schema):  # noqa: N802
        return not TYPES["number"](value) or value > rule

    def _exclusiveMaximum(self, value, rule, schema):  # noqa: N802
        return not TYPES["number"](value) or value < rule

    def _anyOf(self, value, rule, schema):  # noqa: N802
        return any(self.accepts(value, one) for one in rule)

    def _allOf(self, value, rule, schema):  # noqa: N802
        return all(self.accepts(value, one) for one in rule)

    def _if(self, value, rule, schema):
        return not self.accepts(value, rule) or self.accepts(value, schema["then"])
