"""The winner on the Hub: its weights, a card that says what it is and how well it did, and its record."""

from __future__ import annotations

import re
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from hf_transfer_score.choosing.saving import ABOUT, SCRIPT
from hf_transfer_score.errors import InputError, OptionError
from hf_transfer_score.finetune.fine_tune import ACCURACY
from hf_transfer_score.home import write_text
from hf_transfer_score.hub.failures import no_token
from hf_transfer_score.hub.repository import HubRepository
from hf_transfer_score.hub.settings import has_token
from hf_transfer_score.runs.records import dataset_id, plain_values, without_places
from hf_transfer_score.text import json_text, one_line

if TYPE_CHECKING:
    from hf_transfer_score.choosing.result import Choice

RECORD, CARD = "record.json", "README.md"
MARK = "<!-- made by hf-transfer-score choose -->"
"""Marks our cards; a card without it was written by somebody, and stays."""

HUB_NAME = re.compile(r"[\w-][\w.-]*/[\w-][\w.-]*")
TITLE = "Fine-tuned by hf-transfer-score choose"


def check_target(name: str, token: str | bool | None = None) -> None:
    """Refuse a name that cannot be on the Hub, and a missing token, before any work is done."""
    if HUB_NAME.fullmatch(name) is None:
        raise OptionError(f"push={name!r}: expected OWNER/NAME of a model repository on the Hub.")
    if not has_token(token):
        raise no_token(name)


def push_winner(
    choice: Choice,
    name: str,
    *,
    private: bool = False,
    token: str | bool | None = None,
    endpoint: str | None = None,
) -> str:
    """Push the fine-tuned winner to a model repository, which is created if needed; return its address.

    Folders of this computer, and a training script that names some, are not pushed.
    """
    check_target(name, token)
    if choice.trained is None or not choice.tested:
        raise InputError("There are no weights to push: no winner was trained to the end.")
    repository = HubRepository(name, repo_type="model", private=private, token=token, endpoint=endpoint)
    repository.create()
    view = repository.view()
    there = view.read([CARD]).get(CARD, b"")
    with TemporaryDirectory() as place:
        folder = choice.save_model(Path(place) / "model")
        about = choice.as_dict()
        for hidden in ("ranking", "script"):
            about.pop(hidden)
        write_text(folder / ABOUT, json_text(plain_values(about, hide=True)))
        write_text(folder / RECORD, choice.record.to_json())
        if _base(choice) is None or choice.test.source.revision is None:  # not on the Hub, so nobody else can repeat it
            (folder / SCRIPT).unlink()
        if not there or MARK.encode() in there:
            write_text(folder / CARD, winner_card(choice, name))
        repository.upload(folder, title=TITLE)
    return repository.url


def _base(choice: Choice) -> str | None:
    """Return the id of the checkpoint that was fine-tuned; None for a folder."""
    source = choice.source(by_timm=False)
    return None if Path(source).exists() else source.partition("@")[0]


def winner_card(choice: Choice, name: str) -> str:
    """Return the model card of a winner."""
    from huggingface_hub import EvalResult, ModelCardData

    assert choice.winner is not None and choice.accuracy is not None
    base, sample = _base(choice), choice.ranking.sample
    about, dataset = choice.ranking.models[choice.winner], one_line(dataset_id(sample))
    on_hub = sample.source.revision is not None
    known: dict[str, Any] = {
        "base_model": base,
        "datasets": [dataset] if on_hub else None,
        "license": about.license if about.license and base else None,
        "pipeline_tag": sample.task.name,
    }
    measured = EvalResult(
        task_type=sample.task.name,
        dataset_type=dataset,
        dataset_name=dataset,
        dataset_split=choice.test.source.split,
        metric_type=ACCURACY,
        metric_value=round(choice.accuracy.value, 4),
    )
    data = ModelCardData(
        model_name=name.partition("/")[2],
        eval_results=[measured],
        tags=["hf-transfer-score"],
        **{key: value for key, value in known.items() if value is not None},
    )
    answer, cost = (one_line(without_places(one), len(one) + 1) for one in (choice.answer, choice.cost))
    method = choice.recipe.method
    return (
        f"---\n{data.to_yaml()}\n---\n\n# {name.partition('/')[2]}\n\n{MARK}\n\n"
        f"`{one_line(without_places(choice.winner))}`, fine-tuned on {dataset} with the method {method}.\n\n"
        f"{answer} It was chosen from {choice.candidates} candidates. {cost}\n\n"
        f"`{RECORD}` holds the accuracy and everything it depends on, `{ABOUT}` the rounds of the choice.\n"
    )
