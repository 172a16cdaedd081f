"""The names that datasets usually give their columns, most telling first."""

from __future__ import annotations


def _words(text: str) -> tuple[str, ...]:
    return tuple(text.split())


LABELS = _words(
    "label labels fine_label intent intent_class class category target sentiment emotion topic genre language accent "
    "command keyword species coarse_label cls y answer stars rating score similarity_score"
)
TAGS = _words("ner_tags tags ner labels label pos_tags upos pos xpos chunk_tags")
MASKS = _words(
    "mask masks annotation annotations segmentation segmentation_mask semantic semantic_mask semantic_segmentation "
    "label labels label_map seg gt ground_truth target"
)
TEXTS = _words(
    "text sentence content review review_body utterance tweet comment question query document article body message "
    "title headline description prompt"
)
WORDS = _words("tokens words sentence text")
IMAGES = _words("image img pixel_values picture photo jpg jpeg png webp")
SOUNDS = _words("audio speech sound wav flac mp3 ogg")

PAIRS = (
    ("premise", "hypothesis"),
    ("sentence1", "sentence2"),
    ("question1", "question2"),
    ("text1", "text2"),
    ("text_1", "text_2"),
    ("sentence_a", "sentence_b"),
    ("sentence_A", "sentence_B"),
    ("text_a", "text_b"),
    ("question", "sentence"),
    ("question", "passage"),
    ("question", "context"),
    ("query", "passage"),
    ("query", "document"),
)
"""Texts that are read together."""

NO_CONTENT = _words("id idx index guid uid uuid file filename file_name path url link md5 sha256 hash")
"""Columns that are neither inputs nor labels unless the user says so; so is whatever ends in _id or starts with _."""


def is_content(name: str) -> bool:
    """Return whether a column of that name may hold inputs or labels.

    Example:
        >>> is_content("text"), is_content("user_id"), is_content("__key__")
        (True, False, False)
    """
    name = name.lower()
    return name not in NO_CONTENT and not name.endswith("_id") and not name.startswith("_")
