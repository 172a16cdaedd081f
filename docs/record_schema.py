"""The JSON Schema of records, derived from the dataclasses, for tools that are not written in Python.

It covers all checks of single fields, and which fields go with a status. Other checks between fields (equal keys of
terms, directions and intervals, the number of pairs of classes, what the metric can give) and of times are left to
`Record.from_json`.
"""

import inspect
from dataclasses import fields, is_dataclass
from types import NoneType
from typing import Annotated, Any, Literal, get_args, get_origin, get_type_hints

from hf_transfer_score.records.checks import GREATEST, LARGEST, LONGEST, LONGEST_TIME, SCHEMA_VERSION, TIME
from hf_transfer_score.records.record import Record, RecordedMetric
from hf_transfer_score.text import attributes_of

DIALECT = "https://json-schema.org/draft/2020-12/schema"
SIMPLE: dict[Any, dict[str, Any]] = {
    str: {"type": "string", "maxLength": LONGEST},
    bool: {"type": "boolean"},
    int: {"type": "integer", "minimum": -LARGEST, "maximum": LARGEST},
    float: {"type": "number", "minimum": -GREATEST, "maximum": GREATEST},
}
NARROWER: dict[tuple[str, str], dict[str, Any]] = {
    ("Record", "schema_version"): {"const": SCHEMA_VERSION},
    ("Record", "interval_level"): {"exclusiveMinimum": 0, "exclusiveMaximum": 1},
    ("RecordedRun", "time"): {"maxLength": LONGEST_TIME, "pattern": f"^{TIME.pattern}$"},
    ("RecordedOverlap", "values"): {"items": {"type": "number", "minimum": 0, "maximum": 1}},
}
"""Further checks of a field, by the name of its class and its own."""

NULL, TEXT = {"type": "null"}, {"type": "string"}
METRIC = {"$ref": f"#/$defs/{RecordedMetric.__name__}"}
UNMEASURED = {"anyOf": [NULL, {**METRIC, "properties": {"kind": {"const": "truth"}}}]}
BY_STATUS: dict[str, dict[str, Any]] = {
    "ok": {"metric": METRIC, "kind": NULL, "reason": NULL, "terms": {"minProperties": 1}},
    "failed": {"metric": UNMEASURED, "kind": TEXT, "reason": TEXT, "terms": {"maxProperties": 0}},
    "skipped": {"metric": METRIC, "kind": NULL, "reason": TEXT, "terms": {"maxProperties": 0}},
}
"""What the other fields must be, by the status."""


def json_schema() -> dict[str, Any]:
    """Return the JSON Schema (draft 2020-12) of a record of this schema version."""
    blocks: dict[str, Any] = {}
    record = _block(Record, blocks)
    rules = [
        {"if": {"properties": {"status": {"const": status}}}, "then": {"properties": properties}}
        for status, properties in BY_STATUS.items()
    ]
    about = {"$schema": DIALECT, "$id": f"urn:hf-transfer-score:record:{SCHEMA_VERSION}", "title": Record.__name__}
    return {**about, **record, "allOf": rules, "$defs": blocks}


def _block(kind: type, blocks: dict[str, Any]) -> dict[str, Any]:
    """Return the schema of a dataclass, and add those of the dataclasses in its fields to `blocks`."""
    hints, described, properties = get_type_hints(kind, include_extras=True), attributes_of(kind), {}
    for one in fields(kind):
        schema = {**_value(hints[one.name], blocks), **NARROWER.get((kind.__name__, one.name), {})}
        properties[one.name] = {"description": described[one.name], **schema}
    return {
        "description": (inspect.getdoc(kind) or "").partition("\n")[0],
        "type": "object",
        "properties": properties,
        "required": list(properties),
        "additionalProperties": False,
    }


def _value(hint: Any, blocks: dict[str, Any]) -> dict[str, Any]:
    """Return the schema of a field's type."""
    origin, arguments = get_origin(hint), get_args(hint)
    if NoneType in arguments:
        inner = _value(next(one for one in arguments if one is not NoneType), blocks)
        return {**inner, "type": [inner["type"], "null"]} if "type" in inner else {"anyOf": [inner, NULL]}
    if origin is Annotated:
        return {**_value(arguments[0], blocks), **arguments[1].schema}
    if is_dataclass(hint):
        name = hint.__name__  # type: ignore[union-attr]
        blocks[name] = blocks.get(name) or _block(hint, blocks)  # type: ignore[arg-type]
        return {"$ref": f"#/$defs/{name}"}
    if hint is Any:
        return {}
    if origin is Literal:
        return {"enum": list(arguments)}
    if origin is dict:
        values = _value(arguments[1], blocks)
        return {"type": "object", "additionalProperties": values} if values else {"type": "object"}
    if origin is tuple:
        length = {} if Ellipsis in arguments else {"minItems": len(arguments), "maxItems": len(arguments)}
        return {"type": "array", "items": _value(arguments[0], blocks), **length}
    return dict(SIMPLE[hint])
