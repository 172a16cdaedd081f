"""What is kept of a choice: the winner's weights, a script that repeats its training, and the same on the Hub.

The weights are a checkpoint of the winner's own library: the fine-tuned body with the new head.
"""

from __future__ import annotations

import re
import shutil
from collections.abc import Collection, Mapping
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from hf_transfer_score.backbones.base import BEFORE_HEAD, BackboneOptions
from hf_transfer_score.errors import InputError, OptionError
from hf_transfer_score.finetune.fine_tune import ACCURACY, OF_A_PROBE
from hf_transfer_score.finetune.recipe import Recipe
from hf_transfer_score.home import room_for, write_text
from hf_transfer_score.hub.failures import no_token
from hf_transfer_score.hub.repository import HubRepository
from hf_transfer_score.hub.settings import has_token
from hf_transfer_score.runs.records import dataset_id, plain_values, without_places
from hf_transfer_score.sampling.sources import TEXTUAL, local_path, reader_of
from hf_transfer_score.text import counted, environment, json_text, one_line

if TYPE_CHECKING:
    import torch
    from jinja2 import Template

    from hf_transfer_score.choosing.evidence import Arm
    from hf_transfer_score.choosing.result import Choice
    from hf_transfer_score.choosing.trainer import Trainer
    from hf_transfer_score.ranking.models import RankedModel

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
        native = built.classifier.skip is None and _put_head(built.classifier, choice, heads, weight, bias)
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


def _put_head(classifier: Any, choice: Choice, heads: Any, weight: torch.Tensor, bias: torch.Tensor) -> bool:
    """Replace the checkpoint's own head, and return whether the network then answers like the classifier.

    It does not if there is no such head, or if its library puts other layers between the features and the head.
    """
    import torch

    module = classifier.backbone.module
    own = [one for one in module.modules() if any(one is head for head in heads)]
    old = own[0] if len(own) == 1 else None
    if not isinstance(old, torch.nn.Linear) or old.in_features != weight.shape[1] or old.bias is None:
        return False
    before = old.weight, old.bias, old.out_features
    place = old.weight.device
    old.weight, old.bias = (torch.nn.Parameter(one.to(place)) for one in (weight, bias))
    old.out_features = len(bias)
    few = classifier.backbone.encode(choice.test.examples(range(min(8, len(choice.test)))))
    with torch.no_grad():
        found = classifier.backbone.forward(classifier.batch(few))
        (features,) = found.features.values()
        expected = torch.nn.functional.linear(features.float(), old.weight, old.bias).softmax(-1)
    same = found.source_probs is not None and torch.allclose(found.source_probs, expected, atol=1e-3)
    if not same:
        old.weight, old.bias, old.out_features = before
    return same


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


FORMS = {"timm_images": "timm", "hub_vision": "images", "hub_text": "texts", "sentence_transformers": "texts"}
"""The forms of training scripts, by the kind of checkpoint."""

POOLED = {
    "mean": "(tokens * there[..., None]).sum(1) / there.sum(1, keepdim=True)",
    "cls": "tokens[:, 0]",
    "last": "tokens[torch.arange(len(tokens)), there.sum(1) - 1]",
}
"""How a script writes poolings of tokens."""

PLAIN = {"Transformer", "Pooling", "Normalize"}
"""The modules of a sentence-transformers folder that a script knows."""


def training_script(choice: Choice) -> str:
    """Return a script of about forty lines with `transformers.Trainer` or timm; "" without a winner.

    These train text networks, and image networks that have a classifier of their own. `verify` trains what these
    libraries alone would give another classifier, or could not load or open.
    """
    recipe, rows, winner = choice.recipe, choice.ranking.sample.source, choice.winner
    if winner is None or (choice.rate is None and recipe.method != "probe"):
        return ""
    rate, about, accuracy = choice.rate or 1.0, choice.ranking.models[winner], choice.accuracy
    path = None if choice.named is None else local_path(choice.named)
    details = about.extraction.get("details", {})
    in_memory = choice.named is None or not isinstance(choice.typed.get(winner, ""), str)
    form = "verify" if in_memory else _form(choice, about, path)
    inputs = [rows.columns[name] for name in ("input", "input_2") if name in rows.columns]
    features = POOLED.get(details.get("pooling"), "")
    if "Normalize" in details.get("modules", ()):
        features = f"torch.nn.functional.normalize({features})"
    return _template().render(
        choice=choice,
        recipe=recipe,
        form=form,
        model=one_line(winner),
        source=choice.source(form == "timm"),
        accuracy="not tested" if accuracy is None else f"{accuracy.value:.1%}",
        in_memory=in_memory,
        dataset=str(path.resolve()) if path else choice.named,
        opened=_opened(path or choice.named, rows.config, rows.split or "train"),
        label=rows.columns.get("label", "label"),
        input=next(iter(inputs), "input"),
        texts=", ".join(f"rows[{name!r}]" for name in inputs),
        features=features,
        max_length=details.get("max_length"),
        rate=rate,
        head_rate=rate * recipe.head_factor,
        changed=_words(_changed(recipe, rate)),
        measured=_words({"method": recipe.method} | _unusual(choice.options, ("test_split", "test_samples"))),
        options=_words(_unusual(choice.asked.sample) | _unusual(choice.asked.backbone)),
    )


def _form(choice: Choice, about: RankedModel, path: Path | None) -> str:
    """Return the form of a training script: "verify" where the other libraries would train something else."""
    form, details = FORMS.get(about.library or "", "verify"), about.extraction.get("details", {})
    usual = choice.recipe.method == "full" and "adapter" not in details and choice.asked.backbone == BackboneOptions()
    if form == "texts":
        pairs = "input_2" in choice.ranking.sample.source.columns  # a decoder reads a pair as one text
        shapes = ("encoder",) if pairs else ("encoder", "decoder")
        pools = details.get("pooling") in POOLED and details.get("shape") in shapes
        fits = pools and not details.get("prompt") and PLAIN.issuperset(details.get("modules", ()))
    else:
        in_a_table = path is not None and path.is_file() and reader_of(path)[0] in TEXTUAL  # the paths of images
        fits = not in_a_table and (form == "timm" or details.get("pooling") == BEFORE_HEAD)
    return form if usual and fits else "verify"


def _opened(dataset: str | Path | None, config: str | None, split: str) -> str:
    """Return what opens a split of a dataset on the Hub or of a path, from any folder."""
    if not isinstance(dataset, Path):
        return f"datasets.load_dataset({dataset!r}, {config!r}, split={split!r})"
    place = str(dataset.resolve())
    if (dataset / "state.json").is_file():
        return f"datasets.load_from_disk({place!r})"
    if (dataset / "dataset_dict.json").is_file():
        return f"datasets.load_from_disk({place!r})[{split!r}]"
    reader, files = reader_of(dataset)
    return f"datasets.load_dataset({reader!r}, {config!r}, {_words({**files, 'split': split})})"


def _words(values: Mapping[str, object]) -> str:
    """Return arguments as Python writes them."""
    return ", ".join(f"{name}={value!r}" for name, value in values.items())


def _unusual(options: Any, names: Collection[str] | None = None) -> dict[str, object]:
    """Return the fields of options, all or some, that differ from their defaults."""
    usual = vars(type(options)())
    return {name: vars(options)[name] for name in names or usual if vars(options)[name] != usual[name]}


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
