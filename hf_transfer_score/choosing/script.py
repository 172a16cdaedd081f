"""A training script that repeats a choice with transformers or timm, as a starting point for your own work."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

from hf_transfer_score.finetune.fine_tune import OF_A_PROBE
from hf_transfer_score.finetune.recipe import Recipe
from hf_transfer_score.home import SHIPPED, example_dataset
from hf_transfer_score.text import environment, one_line

if TYPE_CHECKING:
    from jinja2 import Template

    from hf_transfer_score.choosing.result import Choice

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
        form=form,
        model=one_line(choice.winner),
        source=choice.source(form == "timm"),
        accuracy="not tested" if accuracy is None else f"{accuracy.value:.1%}",
        dataset=dataset,
        config=f", {rows.config!r}" if rows.config else "",
        split=choice.ranking.sample.source.split or "train",
        label=label,
        input=column,
        inputs=inputs[modality],
        what=what,
        task=task,
        rate=rate,
        head_rate=rate * recipe.head_factor,
        decay=recipe.weight_decay,
        warmup=recipe.warmup_share,
        epochs=recipe.epochs,
        batch=recipe.batch_size,
        seed=choice.options.seed,
        method=recipe.method,
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
