"""What a candidate's repository says about it: the facts that its records keep."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

from hf_transfer_score.checkpoints.resolve import Checkpoint
from hf_transfer_score.records.record import RecordedFacts

MOST_LETTERS = 200
"""Longer texts from a repository are not kept as names."""

TIMM_FAMILY = re.compile(r"(?:tf_|legacy_|gluon_)?([a-z]+)")
"""The first word of timm's architectures is their kind: tf_efficientnet_lite0, resnet50, vit_small_patch16_224."""


def facts_of(checkpoint: Checkpoint | None) -> RecordedFacts:
    """Return the facts about a candidate; none if its repository could not be read."""
    if checkpoint is None:
        return RecordedFacts()
    config, tags = checkpoint.repository.config, checkpoint.repository.tags
    of_timm = _name(config.get("architecture"))
    found, classes = TIMM_FAMILY.match(of_timm or ""), config.get("architectures")
    return RecordedFacts(
        license=_name(checkpoint.license),
        downloads=checkpoint.downloads,
        family=_name(config.get("model_type")) or (found and found[1]),
        architecture=of_timm or _name(classes[0] if isinstance(classes, list) and classes else None),
        base_model=checkpoint.adapter.base if checkpoint.adapter else _tagged(tags, "base_model:"),
        pretrained_on=_tagged(tags, "dataset:"),
    )


def _tagged(tags: Iterable[str], start: str) -> str | None:
    """Return the values of the Hub's tags of one kind; those with a further qualifier repeat others."""
    named = [tag.removeprefix(start) for tag in tags if tag.startswith(start)]
    return _name(", ".join(dict.fromkeys(one for one in named if ":" not in one)))


def _name(value: Any) -> str | None:
    """Return text from a stranger if it can be a name."""
    return value if isinstance(value, str) and 0 < len(value) <= MOST_LETTERS and value.isprintable() else None
