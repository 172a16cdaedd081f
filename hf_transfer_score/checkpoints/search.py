"""Candidates by a search of the Hub."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from hf_transfer_score.errors import HubError, check_known, check_least
from hf_transfer_score.hub.failures import trouble_of
from hf_transfer_score.hub.retry import patiently
from hf_transfer_score.hub.settings import CONNECT_SECONDS, endpoint_of
from hf_transfer_score.tasks import TASKS, Modality

Sort = Literal["downloads", "likes", "trending"]
SORTS: dict[str, str] = {"downloads": "downloads", "likes": "likes", "trending": "trending_score"}

PIPELINES: dict[Modality, tuple[str, ...]] = {
    "image": ("image-classification", "image-feature-extraction", "zero-shot-image-classification"),
    "text": ("feature-extraction", "sentence-similarity", "fill-mask", "text-classification", "text-generation"),
    "audio": ("audio-classification", "automatic-speech-recognition", "feature-extraction"),
}
"""Pipeline tags under which checkpoints of a modality are listed, for searches that name none."""

LOOKED_AT = 50
"""Repositories that are looked at for each one wanted, before a search gives up."""


@dataclass(frozen=True)
class Search:
    """What to look for on the Hub.

    Attributes:
        text: words of the id.
        task: a pipeline tag; without it those that suit the dataset's modality.
        library: such as timm, transformers or sentence-transformers.
        author: a user or organisation.
        license: such as apache-2.0.
        max_parameters: the most parameters; repositories that do not say how many they have are left out.
        sort: what comes first.
        limit: how many to take.
    """

    text: str | None = None
    task: str | None = None
    library: str | None = None
    author: str | None = None
    license: str | None = None
    max_parameters: int | None = None
    sort: Sort = "downloads"
    limit: int = 10

    def __post_init__(self) -> None:
        """Refuse what makes no sense before the Hub is asked."""
        check_known(self, sort=SORTS)
        check_least(self, limit=1)

    def words(self) -> str:
        """Return the search in words, for messages."""
        parts = {
            "": self.text,
            "task ": self.task,
            "library ": self.library,
            "by ": self.author,
            "license ": self.license,
        }
        words = [f"{word}{value}" for word, value in parts.items() if value is not None]
        if self.max_parameters is not None:
            words.append(f"at most {self.max_parameters:,} parameters")
        return ", ".join(words) or "everything"


@dataclass(frozen=True)
class Found:
    """What a search gave: ids in the order asked for, and why others were left out."""

    names: list[str]
    left_out: dict[str, int]


def search_models(search: Search, modality: Modality) -> Found:
    """Return the ids of fitting checkpoints; raises HubError where the Hub does not answer, or finds none."""
    names: list[str] = []
    left_out: dict[str, int] = {}
    try:
        for info in patiently(lambda: _listed(search)):
            reason = _unfit(info, search, modality)
            if reason is None:
                names.append(info.id)
            else:
                left_out[reason] = left_out.get(reason, 0) + 1
            if len(names) == search.limit:
                break
    except Exception as error:  # noqa: BLE001  # nothing can go on without the list
        trouble = trouble_of(error)
        what = f"The Hub answered {trouble.status}" if trouble.status else "The Hub cannot be reached"
        if trouble.kind == "unanswered":
            what = f"{trouble.reason[:1].upper()}{trouble.reason[1:]}"
        raise HubError(f"{what}, so that models cannot be searched ({search.words()}). Name models.") from None
    if not names:
        why = "; ".join(f"{count} {reason}" for reason, count in left_out.items())
        raise HubError(f"The search found no model that fits ({search.words()}).{f' Left out: {why}.' if why else ''}")
    return Found(names, left_out)


def _listed(search: Search) -> list[Any]:
    from huggingface_hub import HfApi, get_session

    # lists are asked for again and again; this fails at once
    get_session().head(endpoint_of(), timeout=CONNECT_SECONDS)
    tags = [search.library, f"license:{search.license}" if search.license else None]
    known = {name for names in PIPELINES.values() for name in names} | {"token-classification", "image-segmentation"}
    return list(
        HfApi().list_models(
            search=search.text,
            author=search.author,
            filter=[tag for tag in tags if tag] or None,
            pipeline_tag=search.task if search.task not in TASKS or search.task in known else None,
            limit=LOOKED_AT * search.limit,
            sort=SORTS[search.sort],  # type: ignore[arg-type]  # a name the client knows
            expand=["safetensors", "downloads", "likes", "gated", "pipeline_tag", "library_name", "tags"],
        )
    )


def _unfit(info: Any, search: Search, modality: Modality) -> str | None:
    """Return why a repository is left out, or None where it fits."""
    if info.gated:
        return "gated (name one to try it)"
    if search.task is None and info.pipeline_tag not in PIPELINES[modality]:
        return f"listed under no task for {modality}"
    if search.max_parameters is not None:
        total = info.safetensors.total if info.safetensors else None
        if total is None:
            return "without a parameter count"
        if total > search.max_parameters:
            return "too large"
    return None
