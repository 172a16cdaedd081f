"""Finds the columns of inputs and labels, and the task, by the types and names of the columns."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NoReturn

from hf_transfer_score.errors import DatasetError, did_you_mean
from hf_transfer_score.sampling.sample import SampleOptions
from hf_transfer_score.tasks import Task, get_task


def _names(text: str) -> tuple[str, ...]:
    """Return usual names of a column, most specific first."""
    return tuple(text.split())


LABELS = _names(
    "label labels fine_label intent intent_class class category target sentiment emotion topic genre language accent "
    "command keyword species coarse_label cls y answer stars rating score similarity_score"
)
TAGS = _names("ner_tags tags ner labels label pos_tags upos pos xpos chunk_tags")
MASKS = _names(
    "mask masks annotation annotations segmentation segmentation_mask semantic semantic_mask semantic_segmentation "
    "label labels label_map seg gt ground_truth target"
)
TEXTS = _names(
    "text sentence content review review_body utterance tweet comment question query document article body message "
    "title headline description prompt"
)
WORDS = _names("tokens words sentence text")
IMAGES = _names("image img pixel_values picture photo jpg jpeg png webp")
SOUNDS = _names("audio speech sound wav flac mp3 ogg")

PAIRS = (
    *(("premise", "hypothesis"), ("sentence1", "sentence2"), ("question1", "question2"), ("text1", "text2")),
    *(("text_1", "text_2"), ("sentence_a", "sentence_b"), ("sentence_A", "sentence_B"), ("text_a", "text_b")),
    *(("question", "sentence"), ("question", "passage"), ("question", "context"), ("query", "passage")),
    ("query", "document"),
)
"""Pairs of texts that belong together."""

NO_CONTENT = _names("id idx index guid uid uuid file filename file_name path url link md5 sha256 hash")
"""Columns that are never chosen as inputs or labels, like those that end in _id or start with _."""

ROW_NUMBERS = "Unnamed: 0"
"""What the CSV reader calls a nameless first column: pandas writes the numbers of rows into one."""

LIKE_A_VALUE = re.compile(
    r"[-+.\d]+(?:e[-+]?\d+)?|.*\.(?:jpe?g|png|webp|gif|bmp|tiff?|wav|flac|mp3|ogg)", re.IGNORECASE
)
WORDS_OF_A_VALUE = 6  # a column with so many words in its name may be a text
HEADLESS = "may be a row: if the file has no header, put names of its columns into a first line, such as text,label"


def bare(name: str) -> str:
    """Return the name of a column as usual names are written: CSV files may have blanks around it."""
    return name.strip().lower()


def is_content(name: str) -> bool:
    """Return whether a column may be chosen, by its name."""
    name = bare(name)
    return name not in NO_CONTENT and not name.endswith("_id") and not name.startswith("_")


def is_csv(dataset: str) -> bool:
    """Return whether a dataset is a table of text, by the name of its file."""
    return dataset.lower().endswith((".csv", ".tsv", ".csv.gz", ".tsv.gz"))


CLASS_KINDS = ("class", "integer", "bool", "string", "empty")
NUMBER_KINDS = ("float", "integer")
TAG_KINDS = ("classes", "integers", "strings", "bools")
LISTS = (*TAG_KINDS, "floats")
PLURALS = {"class": "classes", "integer": "integers", "string": "strings", "bool": "bools", "float": "floats"}


@dataclass(frozen=True)
class Columns:
    """The task of a dataset, the columns of its inputs (one or two) and labels, and notes on the choice."""

    task: Task
    inputs: tuple[str, ...]
    label: str
    class_names: tuple[str, ...] | None = None
    notes: tuple[str, ...] = ()

    @property
    def all(self) -> list[str]:
        """All columns to read."""
        return [*self.inputs, self.label]

    @property
    def by_role(self) -> dict[str, str]:
        """The columns by role, as stored in a record."""
        return {**dict(zip(("input", "input_2"), self.inputs, strict=False)), "label": self.label}


def kind_of_feature(feature: Any, name: str = "") -> str:
    """Return a word for the type of a column, "other" for types that cannot be used."""
    import datasets

    media = "image" if bare(name) in IMAGES else "audio" if bare(name) in SOUNDS else "other"
    for kind, word in ((datasets.Image, "image"), (datasets.Audio, "audio"), (datasets.ClassLabel, "class")):
        if isinstance(feature, kind):
            return word
    if isinstance(feature, datasets.Value):
        known = dict.fromkeys(("string", "large_string", "string_view"), "string") | {"bool": "bool", "null": "empty"}
        known |= dict.fromkeys(("binary", "large_binary"), media)
        is_float = feature.dtype.startswith(("float", "double"))
        return known.get(feature.dtype, "integer" if "int" in feature.dtype else "float" if is_float else "other")
    if isinstance(feature, Mapping):
        keys = set(feature)
        packed = media if "bytes" in keys and keys <= {"bytes", "path"} else "other"
        return "audio" if {"array", "sampling_rate"} <= keys else packed
    inner = feature[0] if isinstance(feature, list) else getattr(feature, "feature", None)
    return "other" if inner is None else PLURALS.get(kind_of_feature(inner), "other")


def find_columns(features: Mapping[str, Any], options: SampleOptions, dataset: str) -> Columns:
    """Return the task and the columns of a dataset, or raise DatasetError with the candidates.

    The options `task`, `label_column` and `input_columns` have precedence over types and names.
    """
    return _Search(dataset, features, options).columns()


def _kinds_of_label(task: Task) -> tuple[str, ...]:
    if task.unit != "example":
        return TAG_KINDS if task.unit == "word" else ("image",)
    return NUMBER_KINDS if task.truth == "targets" else (*CLASS_KINDS, "float")


@dataclass
class _Search:
    dataset: str
    features: Mapping[str, Any]
    options: SampleOptions
    notes: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.kinds = {name: kind_of_feature(feature, name) for name, feature in self.features.items()}
        for name in (*self.options.input_columns, self.options.label_column):
            if name is not None and name not in self.kinds:
                self._refuse(f"has no column {name!r}", did_you_mean(name, self.kinds, 0.5).strip())
        self.asked = None if self.options.task is None else get_task(self.options.task)

    def columns(self) -> Columns:
        label = self.options.label_column or (self._label_for(self.asked) if self.asked else self._find_label())
        task = self._task_of(label)
        inputs = self.options.input_columns or self._find_inputs(task, label)
        if len({*inputs, label}) <= len(inputs):
            self._refuse(f"has {', '.join(inputs)} as input and {label} as label", "Name a different column for each.")
        feature = self.features[label]
        inner = feature[0] if isinstance(feature, list) else getattr(feature, "feature", feature)
        names = tuple(getattr(inner, "names", None) or ()) or None
        about = f" ({len(names)} classes)" if names else ""
        rivals = [*self._of("class", "classes"), *(name for name in self.kinds if bare(name) in LABELS)]
        others = sorted({name for name in rivals if name != label and self.kinds[name] != "image"})
        also = f"; also there: {', '.join(others)}" if others and self.options.label_column is None else ""
        self.notes.append(f"label: column {label!r}{about}{also}")
        if task.truth == "targets" and self.asked is None:
            self.notes.append(f"column {label!r} holds floating-point numbers, so they are targets, not classes")
        if self._headless():
            self.notes.append(f"the first line, which is read as names, {HEADLESS}")
        one, pairs = ("column", "") if len(inputs) == 1 else ("columns", " pairs")
        self.notes.append(f"input: {one} {' and '.join(map(repr, inputs))} ({task.modality}{pairs})")
        return Columns(task, inputs, label, names, tuple(self.notes))

    def _refuse(self, what: str, advice: str = "") -> NoReturn:
        there = ", ".join(f"{name} ({self._type(name)})" for name in self.kinds)
        headless = f" The first line {HEADLESS}." if self._headless() else ""
        raise DatasetError(
            f"The dataset {self.dataset} {what}. {advice}{' ' if advice else ''}Its columns: {there}.{headless}"
        )

    def _headless(self) -> bool:
        """Return whether the first line of a table of text seems to be a row, and no names of columns."""
        long = any(len(name.split()) >= WORDS_OF_A_VALUE for name in self.kinds)
        return is_csv(self.dataset) and (long or any(map(LIKE_A_VALUE.fullmatch, self.kinds)))

    def _refuse_multi_label(self, column: str) -> NoReturn:
        self._refuse(
            f"has several labels per example (column {column!r} holds lists), and the metrics need one",
            "Choose another `label_column`, or keep the rows with one label and store that by itself.",
        )

    def _refuse_type(self, label: str) -> NoReturn:
        """Refuse a label column of a type that cannot be used."""
        mixed = type(self.features[label]).__name__ == "Json"
        advice = "Write all labels as numbers, or all as texts." if mixed else "Choose another `label_column`."
        self._refuse(f"has a label column {label!r} of a type that cannot be used ({self._type(label)})", advice)

    def _type(self, name: str) -> str:
        kind = self.kinds[name]
        if kind in ("strings", "integers", "bools", "floats"):
            return f"lists of {kind}"
        known = {"class": "class labels", "classes": "lists of class labels", "empty": "nothing"}
        if type(self.features[name]).__name__ == "Json":
            return "values of several types"
        return known.get(kind, str(getattr(self.features[name], "dtype", "nested")) if kind == "other" else kind)

    def _of(self, *kinds: str) -> list[str]:
        """Return the columns of some kinds, without the inputs that the user named."""
        return [name for name, kind in self.kinds.items() if kind in kinds and name not in self.options.input_columns]

    def _find_label(self) -> str:
        """Return the column of the labels if the user names neither it nor a task."""
        named = [name for name in self._of(*CLASS_KINDS, *NUMBER_KINDS) if bare(name) in LABELS]
        masks = self._masks()
        special = masks or self._tags()
        if special and named:
            task = "image-segmentation" if masks else "token-classification"
            self._refuse(
                f"may be one for {task} (column {special[0]!r}) or for one label per example (column {named[0]!r})",
                "Say which with `label_column`.",
            )
        if special:
            return self._pick(special, MASKS + TAGS)
        lists = [name for name in self._of(*LISTS) if bare(name) in LABELS]
        if lists and not named:
            self._refuse_multi_label(lists[0])
        candidates = named or self._of("class")
        for name in () if candidates else [one for one in self._of("other") if bare(one) in LABELS]:
            self._refuse_type(name)
        candidates = candidates or self._leftovers()
        if not candidates:
            advice = "Name one with `label_column` if there is."
            if set(self.kinds.values()) <= {"image", "audio"}:
                advice = "A folder needs at least two subfolders, named after the classes, with the files of each."
            if list(self.kinds.values()) == ["string"]:
                advice = "Texts need a table, such as a CSV file, with a column of texts and a column of labels."
            if set(self.kinds.values()) == {"other"}:
                advice = "Each row needs an input and a label: JSON has to hold one object per row."
            self._refuse("has no column that could hold labels", advice)
        return self._pick(candidates, LABELS)

    def _masks(self) -> list[str]:
        """Return the columns that may hold masks: images beside another image, by name."""
        if list(self.kinds.values()).count("image") < 2:
            return []
        return [name for name in self._of("image") if bare(name) in MASKS or "mask" in bare(name)]

    def _tags(self) -> list[str]:
        """Return the columns that may label every word: lists beside a list of words, without images or sound."""
        words = [name for name, kind in self.kinds.items() if kind == "strings" and bare(name) in WORDS]
        if not words or "image" in self.kinds.values() or "audio" in self.kinds.values():
            return []
        named = [name for name in self._of(*TAG_KINDS) if bare(name) in TAGS or self.kinds[name] == "classes"]
        return [name for name in named if name != words[0]]

    def _leftovers(self) -> list[str]:
        """Return the columns that may hold labels, whatever their names: all but the likely inputs."""
        inputs: set[str] = set(self.options.input_columns)
        if not inputs and not self._of("image", "audio"):
            texts = self._of("string")
            pair = next((pair for pair in PAIRS if set(pair) <= set(texts)), ())
            inputs = set(pair or [name for name in texts if bare(name) in TEXTS][:1])
        found = [name for name in self._of("bool", *NUMBER_KINDS, "string") if name not in inputs and is_content(name)]
        return [name for name in found if name != ROW_NUMBERS or self.kinds[name] != "integer"] or found

    def _label_for(self, task: Task) -> str:
        """Return the column of the labels for a given task."""
        fitting = self._of(*_kinds_of_label(task))
        if task.unit == "pixel":
            return self._pick(self._masks() or fitting[1:], MASKS, task)
        if task.unit == "word":
            words = self._words("")
            return self._pick([name for name in fitting if name not in words[:1]], TAGS, task)
        named = [name for name in fitting if bare(name) in LABELS]
        content = self._leftovers()
        return self._pick(named or self._of("class") or [one for one in fitting if one in content], LABELS, task)

    def _pick(self, candidates: Sequence[str], preferred: Sequence[str], task: Task | None = None) -> str:
        lacking = f"has no column for the labels of {task.name if task else 'any task'}", "Name it with `label_column`."
        several = "hold the labels", "Choose one with `label_column`."
        return self._most_usual(candidates, preferred, lacking, several)

    def _most_usual(
        self, candidates: Sequence[str], preferred: Sequence[str], lacking: tuple[str, str], several: tuple[str, str]
    ) -> str:
        """Return the candidate with the most usual name, or the only candidate."""
        if not candidates:
            self._refuse(*lacking)
        named = [name for word in preferred for name in candidates if bare(name) == word]
        if not named and len(candidates) > 1:
            self._refuse(f"has {len(candidates)} columns that could {several[0]}: {', '.join(candidates)}", several[1])
        return (named or list(candidates))[0]

    def _task_of(self, label: str) -> Task:
        """Return the task for a label column, or check that the column suits the given task."""
        kind, task = self.kinds[label], self.asked
        if task is not None:
            if kind in LISTS and task.unit == "example":
                self._refuse_multi_label(label)
            if kind not in _kinds_of_label(task):
                self._refuse(
                    f"has a column {label!r} of type {self._type(label)}, which cannot be the labels of {task.name}"
                )
            return task
        if kind == "image":
            return get_task("image-segmentation")
        inputs = {self.kinds[one] for one in self.options.input_columns or self.kinds.keys() - {label}}
        modality = "image" if "image" in inputs else "audio" if "audio" in inputs else "text"
        if kind in LISTS:
            if kind not in TAG_KINDS or modality != "text" or not self._words(label):
                self._refuse_multi_label(label)
            return get_task("token-classification")
        if kind not in (*CLASS_KINDS, *NUMBER_KINDS):
            self._refuse_type(label)
        return get_task(f"{modality}-{'regression' if kind == 'float' else 'classification'}")

    def _words(self, label: str) -> list[str]:
        lists = [name for name, kind in self.kinds.items() if kind == "strings" and name != label]
        words = self.options.input_columns or lists
        return [name for word in WORDS for name in words if bare(name) == word] or list(words)

    def _find_inputs(self, task: Task, label: str) -> tuple[str, ...]:
        if task.unit == "word":
            return self._input(self._words(label), WORDS, "lists of words")
        if task.modality != "text":
            media = [name for name, kind in self.kinds.items() if kind == task.modality and name != label]
            return self._input(media, IMAGES if task.modality == "image" else SOUNDS, task.modality)
        texts = [name for name, kind in self.kinds.items() if kind == "string" and name != label and is_content(name)]
        pair = next((pair for pair in PAIRS if set(pair) <= set(texts)), None)
        if pair is not None and not any(bare(name) == "text" for name in texts):
            return pair
        return self._input(texts, TEXTS, "text")

    def _input(self, candidates: Sequence[str], preferred: Sequence[str], what: str) -> tuple[str, ...]:
        lacking = f"has no column with {what} as input", "Name one with `input_columns` if there is."
        several = "be the input", "Choose one, or two for pairs of texts, with `input_columns`."
        chosen = self._most_usual(candidates, preferred, lacking, several)
        others = [name for name in candidates if name != chosen]
        if others and not self.options.input_columns:
            self.notes.append(f"input columns not taken: {', '.join(others)}")
        return (chosen,)
