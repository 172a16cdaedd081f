"""Which columns hold inputs and labels, and so which task it is, from their types and names."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from hf_transfer_score.errors import DatasetError
from hf_transfer_score.sampling import column_names
from hf_transfer_score.sampling.column_names import is_content
from hf_transfer_score.sampling.options import SampleOptions
from hf_transfer_score.tasks import Task, get_task

CLASS_KINDS = ("class", "integer", "bool", "string", "empty")
NUMBER_KINDS = ("float", "integer")
TAG_KINDS = ("classes", "integers", "strings", "bools")


@dataclass(frozen=True)
class Columns:
    """The task of a dataset and the columns it takes.

    Attributes:
        task: what is asked.
        inputs: the column of the inputs, or two of them.
        label: the column of labels or targets.
        class_names: names that the dataset gives its classes, None where it gives none.
        notes: what was chosen and what else there was.
    """

    task: Task
    inputs: tuple[str, ...]
    label: str
    class_names: tuple[str, ...] | None = None
    notes: tuple[str, ...] = ()

    @property
    def all(self) -> list[str]:
        """All columns that are to be read."""
        return [*self.inputs, self.label]

    @property
    def by_role(self) -> dict[str, str]:
        """The columns by role, as a record keeps them."""
        roles = dict(zip(("input", "input_2"), self.inputs, strict=False))
        return {**roles, "label": self.label}


def kind_of_feature(feature: Any, name: str = "") -> str:
    """Return a word for the type of a column, "other" for what nothing here can use."""
    import datasets

    if isinstance(feature, datasets.Image):
        return "image"
    if isinstance(feature, datasets.Audio):
        return "audio"
    if isinstance(feature, datasets.ClassLabel):
        return "class"
    if isinstance(feature, datasets.Value):
        return _kind_of_value(feature.dtype, name)
    if isinstance(feature, Mapping):
        return _kind_of_struct(set(feature), name)
    inner = feature[0] if isinstance(feature, list) else getattr(feature, "feature", None)
    plural = {"class": "classes", "integer": "integers", "string": "strings", "bool": "bools", "float": "floats"}
    return "other" if inner is None else plural.get(kind_of_feature(inner), "other")


def _kind_of_value(dtype: str, name: str) -> str:
    if dtype in ("string", "large_string", "string_view"):
        return "string"
    if dtype in ("bool", "null"):
        return "bool" if dtype == "bool" else "empty"
    if dtype in ("binary", "large_binary"):
        return _kind_by_name(name)
    return "integer" if "int" in dtype else "float" if dtype.startswith(("float", "double")) else "other"


def _kind_of_struct(keys: set[str], name: str) -> str:
    if {"array", "sampling_rate"} <= keys:
        return "audio"
    return _kind_by_name(name) if "bytes" in keys and keys <= {"bytes", "path"} else "other"


def _kind_by_name(name: str) -> str:
    return (
        "image" if name.lower() in column_names.IMAGES else "audio" if name.lower() in column_names.SOUNDS else "other"
    )


def find_columns(features: Mapping[str, Any], options: SampleOptions, dataset: str) -> Columns:
    """Return the task and the columns of a dataset, or raise DatasetError with the candidates.

    Args:
        features: the types of the columns, as `datasets` has them.
        options: `task`, `label_column` and `input_columns` override what types and names say.
        dataset: what to call it in messages.
    """
    return _Search(dataset, features, options).columns()


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
                self._refuse(f"has no column {name!r}{_near(name, self.kinds)}")
        self.asked = None if self.options.task is None else get_task(self.options.task)

    def columns(self) -> Columns:
        label = self.options.label_column or self._find_label()
        task = self._task_of(label)
        inputs = self.options.input_columns or self._find_inputs(task, label)
        names = _class_names(self.features[label])
        self._note_label(task, label, names)
        self.notes.append(f"input: {_columns(inputs)} ({task.modality}{'' if len(inputs) == 1 else ' pairs'})")
        return Columns(task, inputs, label, names, tuple(self.notes))

    def _refuse(self, what: str, advice: str = "") -> None:
        there = ", ".join(f"{name} ({self._type(name)})" for name in self.kinds)
        raise DatasetError(f"The dataset {self.dataset} {what}. {advice}{' ' if advice else ''}Its columns: {there}.")

    def _type(self, name: str) -> str:
        kind = self.kinds[name]
        known = {"class": "class labels", "classes": "lists of class labels", "empty": "nothing"}
        if kind in ("strings", "integers", "bools", "floats"):
            return f"lists of {kind}"
        return known.get(kind, str(getattr(self.features[name], "dtype", "nested")) if kind == "other" else kind)

    def _of(self, *kinds: str) -> list[str]:
        taken = self.options.input_columns
        return [name for name, kind in self.kinds.items() if kind in kinds and name not in taken]

    def _find_label(self) -> str:
        if self.asked is not None:
            return self._label_for(self.asked)
        plain = [name for name in self._of(*CLASS_KINDS, *NUMBER_KINDS) if name.lower() in column_names.LABELS]
        special = self._masks() or self._tags()
        if special and plain:
            self._refuse(
                f"may be one for {self._special_task()} (column {special[0]!r}) or for one label an example "
                f"(column {plain[0]!r})",
                "Say which with `label_column`.",
            )
        return self._pick(special, column_names.MASKS + column_names.TAGS) if special else self._plain_label(plain)

    def _special_task(self) -> str:
        return "image-segmentation" if self._masks() else "token-classification"

    def _masks(self) -> list[str]:
        """Columns that may hold masks: images beside another image, by name."""
        images = self._of("image")
        lone = len([name for name, kind in self.kinds.items() if kind == "image"]) < 2
        return [] if lone else [name for name in images if name.lower() in column_names.MASKS or "mask" in name.lower()]

    def _tags(self) -> list[str]:
        """Columns that may hold a label for every word: lists beside a list of words, where there is no image."""
        if "image" in self.kinds.values() or "audio" in self.kinds.values():
            return []
        words = [name for name, kind in self.kinds.items() if kind == "strings" and name.lower() in column_names.WORDS]
        named = [
            name for name in self._of(*TAG_KINDS) if name.lower() in column_names.TAGS or self.kinds[name] == "classes"
        ]
        return [name for name in named if words and name != words[0]]

    def _plain_label(self, named: list[str]) -> str:
        lists = [name for name in self._of(*TAG_KINDS) if name.lower() in column_names.LABELS]
        if lists and not named:
            self._refuse_multi_label(lists[0])
        candidates = named or self._of("class") or self._leftovers()
        if not candidates:
            self._refuse("has no column that could hold labels", "Name one with `label_column` if there is.")
        return self._pick(candidates, column_names.LABELS)

    def _refuse_multi_label(self, column: str) -> None:
        self._refuse(
            f"has several labels an example (column {column!r} holds lists), and the metrics need one",
            "Choose another `label_column`, or keep the rows with one label and store that by itself.",
        )

    def _leftovers(self) -> list[str]:
        """Columns with other names, when the inputs are set aside and there is one left."""
        inputs: set[str] = set(self.options.input_columns)
        if not inputs and not self._of("image", "audio"):
            texts = self._of("string")
            named = [name for name in texts if name.lower() in column_names.TEXTS]
            pair = next((pair for pair in column_names.PAIRS if set(pair) <= set(texts)), ())
            inputs = set(pair or named[:1])
        return [name for name in self._of("bool", *NUMBER_KINDS, "string") if name not in inputs and is_content(name)]

    def _label_for(self, task: Task) -> str:
        kinds = {"word": TAG_KINDS, "pixel": ("image",)}.get(task.unit)
        kinds = kinds or (NUMBER_KINDS if task.truth == "targets" else (*CLASS_KINDS, "float"))
        fitting = self._of(*kinds)
        if task.unit == "pixel":
            fitting = self._masks() or fitting[1:]
            return self._pick(fitting, column_names.MASKS, task)
        if task.unit == "word":
            words = self._words("")
            return self._pick([name for name in fitting if name not in words[:1]], column_names.TAGS, task)
        named = [name for name in fitting if name.lower() in column_names.LABELS]
        content = self._leftovers()
        return self._pick(
            named or self._of("class") or [one for one in fitting if one in content], column_names.LABELS, task
        )

    def _pick(self, candidates: Sequence[str], preferred: Sequence[str], task: Task | None = None) -> str:
        """Return the candidate with the most usual name; without one there must be a single candidate."""
        if not candidates:
            self._refuse(
                f"has no column for the labels of {task.name if task else 'any task'}", "Name it with `label_column`."
            )
        named = sorted(
            (name for name in candidates if name.lower() in preferred), key=lambda name: preferred.index(name.lower())
        )
        if not named and len(candidates) > 1:
            self._refuse(
                f"has {len(candidates)} columns that could hold the labels: {', '.join(candidates)}",
                "Choose one with `label_column`.",
            )
        return (named or list(candidates))[0]

    def _task_of(self, label: str) -> Task:
        """Return the task that a label column asks for, or check that it can serve the one that was asked for."""
        kind = self.kinds[label]
        if self.asked is not None:
            self._check_label_kind(self.asked, label, kind)
            return self.asked
        if kind == "image":
            return get_task("image-segmentation")
        modality = self._modality(label)
        if kind in TAG_KINDS:
            if modality != "text" or not self._words(label):
                self._refuse_multi_label(label)
            return get_task("token-classification")
        if kind not in (*CLASS_KINDS, *NUMBER_KINDS):
            self._refuse(f"has a label column {label!r} of a type that cannot be used ({self._type(label)})")
        return get_task(f"{modality}-{'regression' if kind == 'float' else 'classification'}")

    def _check_label_kind(self, task: Task, label: str, kind: str) -> None:
        fitting = {"word": TAG_KINDS, "pixel": ("image",)}.get(task.unit)
        fitting = fitting or (NUMBER_KINDS if task.truth == "targets" else (*CLASS_KINDS, "float"))
        if kind in TAG_KINDS and task.unit == "example":
            self._refuse_multi_label(label)
        if kind not in fitting:
            self._refuse(
                f"has a column {label!r} of type {self._type(label)}, which cannot be the labels of {task.name}"
            )

    def _modality(self, label: str) -> str:
        taken = self.options.input_columns or [name for name in self.kinds if name != label]
        kinds = {self.kinds[name] for name in taken}
        return "image" if "image" in kinds else "audio" if "audio" in kinds else "text"

    def _words(self, label: str) -> list[str]:
        words = self.options.input_columns or [
            name for name, kind in self.kinds.items() if kind == "strings" and name != label
        ]
        named = [name for name in words if name.lower() in column_names.WORDS]
        return sorted(named, key=lambda name: column_names.WORDS.index(name.lower())) or list(words)

    def _find_inputs(self, task: Task, label: str) -> tuple[str, ...]:
        if task.unit == "word":
            return self._input(self._words(label), column_names.WORDS, "lists of words")
        if task.modality != "text":
            media = [name for name, kind in self.kinds.items() if kind == task.modality and name != label]
            return self._input(
                media, column_names.IMAGES if task.modality == "image" else column_names.SOUNDS, task.modality
            )
        texts = [name for name, kind in self.kinds.items() if kind == "string" and name != label and is_content(name)]
        pair = next((pair for pair in column_names.PAIRS if set(pair) <= set(texts)), None)
        if pair is not None and not any(name.lower() == "text" for name in texts):
            return pair
        return self._input(texts, column_names.TEXTS, "text")

    def _input(self, candidates: Sequence[str], preferred: Sequence[str], what: str) -> tuple[str, ...]:
        named = [name for word in preferred for name in candidates if name.lower() == word]
        if not candidates:
            self._refuse(f"has no column with {what} as input", "Name one with `input_columns` if there is.")
        if not named and len(candidates) > 1:
            self._refuse(
                f"has {len(candidates)} columns that could be the input: {', '.join(candidates)}",
                "Choose one, or two for pairs of texts, with `input_columns`.",
            )
        others = [name for name in candidates if name not in (named or candidates)[:1]]
        if others and not self.options.input_columns:
            self.notes.append(f"input columns not taken: {', '.join(others)}")
        return ((named or list(candidates))[0],)

    def _note_label(self, task: Task, label: str, names: tuple[str, ...] | None) -> None:
        about = f" ({len(names)} classes)" if names else ""
        rivals = [*self._of("class", "classes"), *(name for name in self.kinds if name.lower() in column_names.LABELS)]
        others = sorted({name for name in rivals if name != label and self.kinds[name] != "image"})
        also = f"; also there: {', '.join(others)}" if others and self.options.label_column is None else ""
        self.notes.append(f"label: column {label!r}{about}{also}")
        if task.truth == "targets" and self.asked is None:
            self.notes.append(f"task: {task.name}, since column {label!r} holds numbers with fractions")


def _class_names(feature: Any) -> tuple[str, ...] | None:
    inner = feature[0] if isinstance(feature, list) else getattr(feature, "feature", feature)
    names = getattr(inner, "names", None)
    return tuple(names) if names else None


def _columns(names: Iterable[str]) -> str:
    listed = [repr(name) for name in names]
    return f"column {listed[0]}" if len(listed) == 1 else f"columns {' and '.join(listed)}"


def _near(name: str, known: Iterable[str]) -> str:
    near = difflib.get_close_matches(name, list(known), 1, 0.5)
    return f" (did you mean {near[0]!r}?)" if near else ""
