"""The winner on the Hub: its weights, a card that says what it is and how well it did, and the record of that."""

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
"""In cards of ours; one without it has somebody's own words, and stays."""

HUB_NAME = re.compile(r"[\w-][\w.-]*/[\w-][\w.-]*")
TITLE = "Fine-tuned by hf-transfer-score choose"


def check_target(name: str, token: str | bool | None = None) -> None:
    """Refuse a name that is none on the Hub, and a missing token, before any work is done."""
    if HUB_NAME.fullmatch(name) is None:
        raise OptionError(f"push={name!r}: expected OWNER/NAME of a repository of models on the Hub.")
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
    """Put the fine-tuned winner into a repository of models, which is made where it is not there; return its address.

    What only this computer knows stays here: folders, and a training script that names some.
    """
    check_target(name, token)
    if choice.trained is None or not choice.tested:
        raise InputError("There is no winner that was trained to its end, so there are no weights to push.")
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
        if not _is_public(choice):
            (folder / SCRIPT).unlink()
        if not there or MARK.encode() in there:
            write_text(folder / CARD, winner_card(choice, name))
        repository.upload(folder, title=TITLE)
    return repository.url


def _is_public(choice: Choice) -> bool:
    """Whether the winner and the dataset are on the Hub, so that anybody can repeat it."""
    return _base(choice) is not None and choice.test.source.revision is not None


def _base(choice: Choice) -> str | None:
    """Return the id of the checkpoint that was fine-tuned, None for a folder of this computer."""
    source = choice.source(by_timm=False)
    return None if Path(source).exists() else source.partition("@")[0]


def winner_card(choice: Choice, name: str) -> str:
    """Return the model card of a winner: what it is, how well it did, and how it was chosen."""
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
        f"`{one_line(without_places(choice.winner))}`, fine-tuned on {dataset} by the method {method}.\n\n"
        f"{answer} It was chosen among {choice.candidates} candidates. {cost}\n\n"
        f"`{RECORD}` holds the accuracy with all that it depends on, `{ABOUT}` the rounds of the choice.\n"
    )
