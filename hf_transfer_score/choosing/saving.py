"""What is kept of a choice: the winner's weights, a script that repeats its training, and the same on the Hub.

The weights are a checkpoint of the winner's own library: the fine-tuned body with the new head.
"""

from __future__ import annotations

import re
import shutil
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from hf_transfer_score.errors import InputError, OptionError
from hf_transfer_score.finetune.fine_tune import ACCURACY, OF_A_PROBE
from hf_transfer_score.finetune.recipe import Recipe
from hf_transfer_score.home import SHIPPED, example_dataset, room_for, write_text
from hf_transfer_score.hub.failures import no_token
from hf_transfer_score.hub.repository import HubRepository
from hf_transfer_score.hub.settings import has_token
from hf_transfer_score.runs.records import dataset_id, plain_values, without_places
from hf_transfer_score.text import counted, environment, json_text, one_line

if TYPE_CHECKING:
    import torch
    from jinja2 import Template

    from hf_transfer_score.choosing.evidence import Arm
    from hf_transfer_score.choosing.result import Choice
    from hf_transfer_score.choosing.trainer import Trainer

HEAD, ABOUT, SCRIPT = "classifier.safetensors", "choice.json", "train.py"
SMALL = (".json", ".txt", ".model", ".vocab")


def save_winner(choice: Choice, trainer: Trainer, arm: Arm, folder: Path) -> Path:
    """Write the fine-tuned winner, a script that repeats its training, and a description into a folder.

    The head is folded into one linear layer on the features. If the checkpoint has a head of its own in that place, it
    is replaced, so that `from_pretrained` or `timm.create_model` load a whole classifier; else the head is written
    separately as `classifier.safetensors` (weight (K, D), bias (K,)).
    """
    from safetensors.torch import save_file

    from hf_transfer_score.finetune.adapters import merge_adapters

    built, _ = trainer.best_state(arm)
    weight, bias = _folded(built.classifier)
    module, names = built.classifier.backbone.module, _names(choice, len(bias))
    if built.trained.adapters is not None:
        merge_adapters(module)
    with room_for("the model", folder):
        folder.mkdir(parents=True, exist_ok=True)
        _copy_small(trainer.finalists[arm.name].folder(), folder)
        heads = getattr(built.classifier.backbone, "source_heads", ())
        native = built.classifier.skip is None and _put_head(module, heads, weight, bias)
        _save_body(module, folder, names if native else None)
        if not native:
            save_file({"weight": weight, "bias": bias}, folder / HEAD)
    about = choice.as_dict()
    about.pop("ranking")
    write_text(folder / ABOUT, json_text({**about, "classes": names, "whole_classifier": native}))
    write_text(folder / SCRIPT, choice.script)
    return folder


def _folded(classifier: Any) -> tuple[torch.Tensor, torch.Tensor]:
    """Return weight (K, D) and bias (K,) of the head on features without shift and scale."""
    weight = (classifier.head.weight / classifier.scale).detach().cpu().contiguous()
    bias = (classifier.head.bias.detach().cpu() - weight @ classifier.centre.cpu()).contiguous()
    return weight, bias


def _names(choice: Choice, classes: int) -> list[str]:
    """Return the names of the classes in the order of the head's outputs."""
    sample = choice.ranking.sample
    known = sorted(set(sample.labels.tolist())) if sample.labels is not None else list(range(classes))
    named = sample.label_names
    return [named[code] if named else str(code) for code in known]


def _put_head(module: Any, heads: Any, weight: torch.Tensor, bias: torch.Tensor) -> bool:
    """Replace the checkpoint's own head, and return whether there was one that fits."""
    import torch

    own = [name for name, one in module.named_modules() if any(one is head for head in heads)]
    if len(own) != 1:
        return False
    old = module.get_submodule(own[0])
    if not isinstance(old, torch.nn.Linear) or old.in_features != weight.shape[1]:
        return False
    head = torch.nn.Linear(weight.shape[1], len(bias))
    with torch.no_grad():
        head.weight.copy_(weight)
        head.bias.copy_(bias)
    parent, _, last = own[0].rpartition(".")
    setattr(module.get_submodule(parent), last, head.to(old.weight.device))
    return True


def _save_body(module: Any, folder: Path, names: list[str] | None) -> None:
    """Write a network as its library does; with names as a whole classifier of these classes."""
    from safetensors.torch import save_file

    if hasattr(module, "save_pretrained"):
        if names is not None:
            module.config.id2label = dict(enumerate(names))
            module.config.label2id = {name: number for number, name in enumerate(names)}
        module.save_pretrained(folder)
    elif hasattr(module, "pretrained_cfg"):
        import timm

        if names is not None:
            module.num_classes = len(names)
        config = {} if names is None else {"num_classes": len(names), "label_names": names}
        timm.models.save_for_hf(module, str(folder), model_config=config, safe_serialization=True)
    else:
        state = {name: value.detach().cpu().contiguous().clone() for name, value in module.state_dict().items()}
        save_file(state, folder / "model.safetensors")


def _copy_small(source: Path, folder: Path) -> None:
    """Copy the configuration of a checkpoint, and how its inputs are prepared."""
    for path in sorted(source.iterdir()):
        if path.is_file() and path.suffix in SMALL:
            shutil.copyfile(path, folder / path.name)


WORDS = {
    "image": ("ImageProcessor", "Image"),
    "text": ("Tokenizer", "Sequence"),
    "audio": ("FeatureExtractor", "Audio"),
}


def training_script(choice: Choice) -> str:
    """Return a script of about thirty-five lines with `transformers.Trainer` or timm; "" without a winner.

    Methods that train one block, adapters, and checkpoints that these libraries cannot load use `verify`.
    """
    recipe = choice.recipe
    if choice.winner is None or (choice.rate is None and recipe.method != "probe"):
        return ""
    rate = choice.rate or 1.0
    about, rows = choice.ranking.models[choice.winner], choice.test.source
    dataset = str(SHIPPED / "dataset") if example_dataset(rows.dataset) is not None else rows.dataset
    column, label = (rows.columns.get(name, name) for name in ("input", "label"))
    modality, accuracy = choice.test.task.modality, choice.accuracy
    what, task = WORDS[modality]
    plain = recipe.method == "full" and "adapter" not in about.extraction.get("details", {})
    forms = {"timm_images": "timm", "hub_vision": "trainer", "hub_text": "trainer", "hub_audio": "trainer"}
    form = forms.get(about.library or "", "verify") if plain else "verify"
    inputs = {
        "image": f"[one.convert('RGB') for one in rows[{column!r}]], return_tensors='pt'",
        "text": f"rows[{column!r}], padding=True, truncation=True, return_tensors='pt'",
        "audio": f"[one['array'] for one in rows[{column!r}]], padding=True, return_tensors='pt'",
    }
    return _template().render(
        choice=choice,
        recipe=recipe,
        form=form,
        model=one_line(choice.winner),
        source=choice.source(form == "timm"),
        accuracy="not tested" if accuracy is None else f"{accuracy.value:.1%}",
        dataset=dataset,
        config=f", {rows.config!r}" if rows.config else "",
        label=label,
        input=column,
        inputs=inputs[modality],
        what=what,
        task=task,
        rate=rate,
        head_rate=rate * recipe.head_factor,
        changed=", ".join(f"{name}={value!r}" for name, value in _changed(recipe, rate).items()),
    )


@cache
def _template() -> Template:
    return environment(str, {"repr": repr, "g": "{:g}".format}).get_template("training_script.py.jinja")


def _changed(recipe: Recipe, rate: float) -> dict[str, object]:
    """Return the fields of a recipe that differ from the defaults, at one learning rate."""
    usual = vars(Recipe(method=recipe.method))
    mine = {**vars(recipe), "learning_rates": (rate,), "device": None}
    mine = {name: one for name, one in mine.items() if recipe.method != "probe" or name in OF_A_PROBE}
    return {"method": recipe.method} | {name: one for name, one in mine.items() if one != usual[name]}


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
    choice: Choice, name: str, *, private: bool = False, token: str | bool | None = None, endpoint: str | None = None
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
        f"{answer} It was chosen from {counted(choice.candidates, 'candidate')}. {cost}\n\n"
        f"`{RECORD}` holds the accuracy and everything it depends on, `{ABOUT}` the rounds of the choice.\n"
    )
