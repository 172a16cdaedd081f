"""The JSON Schemas that docs/ has of what commands print."""

import json
from pathlib import Path

from jsonschema import Draft202012Validator

DOCS = Path(__file__).parents[2] / "docs"


def check_printed(command, found):
    """Fail where what a command printed with --json is not what its schema says."""
    schema = json.loads((DOCS / f"{command}.schema.json").read_text(encoding="utf-8"))
    Draft202012Validator.check_schema(schema)
    assert schema["$id"] == f"urn:hf-transfer-score:{command}:1"
    assert not Draft202012Validator(schema).is_valid("other text")
    problems = [f"{list(one.absolute_path)}: {one.message}" for one in Draft202012Validator(schema).iter_errors(found)]
    assert problems == []
