"""A training script that repeats a choice with transformers or timm, as a starting point for your own work."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hf_transfer_score.finetune.fine_tune import OF_A_PROBE
from hf_transfer_score.finetune.recipe import Recipe
from hf_transfer_score.home import SHIPPED, example_dataset
from hf_transfer_score.text import one_line

if TYPE_CHECKING:
    from hf_transfer_score.choosing.result import Choice

HEAD = """\
# Fine-tunes {model} as `hf-transfer-score choose` did; test accuracy there: {accuracy}.
# The recipe is the same; rows are drawn and shuffled differently, so the accuracy will differ a little.
"""

NORMS = """\
for one in model.modules():  # batch norms keep the checkpoint's statistics
    if isinstance(one, torch.nn.modules.batchnorm._BatchNorm):
        one.eval().train = lambda mode=True, one=one: one
"""

TRAINER = (
    HEAD
    + """\
import torch
from datasets import load_dataset
from transformers import Auto{what}, AutoModelFor{task}Classification, Trainer, TrainingArguments

data = load_dataset({dataset!r}{config}, split={split!r})
data = data.train_test_split(0.2, seed={seed}, stratify_by_column={label!r})
names = data["train"].features[{label!r}].names
prepare = Auto{what}.from_pretrained({source!r})
model = AutoModelFor{task}Classification.from_pretrained(
    {source!r}, num_labels=len(names), ignore_mismatched_sizes=True
)
"""
    + NORMS
    + """\
data.set_transform(lambda rows: {{**prepare({inputs}), "labels": rows[{label!r}]}})
head = [value for name, value in model.named_parameters() if model.base_model_prefix not in name.split(".")]
body = [value for name, value in model.named_parameters() if model.base_model_prefix in name.split(".")]
groups = [{{"params": body, "lr": {rate:g}}}, {{"params": head, "lr": {head_rate:g}}}]
how = TrainingArguments(
    "trained", num_train_epochs={epochs}, per_device_train_batch_size={batch}, warmup_steps={warmup:g}, seed={seed},
    lr_scheduler_type="cosine", max_grad_norm=1.0, eval_strategy="epoch", remove_unused_columns=False,
)
trainer = Trainer(
    model, how, train_dataset=data["train"], eval_dataset=data["test"],
    optimizers=(torch.optim.AdamW(groups, weight_decay={decay:g}), None),
    compute_metrics=lambda found: {{"accuracy": float((found.predictions.argmax(-1) == found.label_ids).mean())}},
)
trainer.train()
"""
)

TIMM = (
    HEAD
    + """\
import timm, torch
from datasets import load_dataset

data = load_dataset({dataset!r}{config}, split={split!r})
data = data.train_test_split(0.2, seed={seed}, stratify_by_column={label!r})
device = "cuda" if torch.cuda.is_available() else "cpu"
classes = data["train"].features[{label!r}].num_classes
model = timm.create_model({source!r}, pretrained=True, num_classes=classes).to(device)
"""
    + NORMS
    + """\
about = timm.data.resolve_model_data_config(model)
prepare, mode = timm.data.create_transform(**about), {{1: "L", 3: "RGB"}}[about["input_size"][0]]

def batches(rows, shuffle):
    made = [(prepare(row[{input!r}].convert(mode)), row[{label!r}]) for row in rows]
    return torch.utils.data.DataLoader(made, {batch}, shuffle=shuffle)

train, test = batches(data["train"], True), batches(data["test"], False)
head = list(model.get_classifier().parameters())
body = [value for value in model.parameters() if all(value is not one for one in head)]
optimizer = torch.optim.AdamW(
    [{{"params": body, "lr": {rate:g}}}, {{"params": head, "lr": {head_rate:g}}}], weight_decay={decay:g}
)
schedule = torch.optim.lr_scheduler.OneCycleLR(
    optimizer, [{rate:g}, {head_rate:g}], total_steps={epochs} * len(train), pct_start={warmup:g}, cycle_momentum=False
)
for epoch in range({epochs}):
    model.train()
    for images, labels in train:
        loss = torch.nn.functional.cross_entropy(model(images.to(device)), labels.to(device))
        optimizer.zero_grad(); loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0); optimizer.step(); schedule.step()
    model.eval()
    with torch.no_grad():
        right = sum(int((model(x.to(device)).argmax(1).cpu() == y).sum()) for x, y in test)
    print(epoch + 1, right / len(data["test"]))
"""
)

WHOLE = (
    HEAD
    + """\
from hf_transfer_score import Recipe, VerifyOptions, verify

recipe = Recipe({changed})
print(verify({dataset!r}, [{source!r}], how=VerifyOptions(method={method!r}, recipe=recipe, seeds=({seed},))).models)
"""
)

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
    forms = {"timm_images": TIMM, "hub_vision": TRAINER, "hub_text": TRAINER, "hub_audio": TRAINER}
    form = forms.get(about.library or "", WHOLE) if plain else WHOLE
    inputs = {
        "image": f"[one.convert('RGB') for one in rows[{column!r}]], return_tensors='pt'",
        "text": f"rows[{column!r}], padding=True, truncation=True, return_tensors='pt'",
        "audio": f"[one['array'] for one in rows[{column!r}]], padding=True, return_tensors='pt'",
    }
    return form.format(
        model=one_line(choice.winner),
        source=choice.source(form is TIMM),
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


def _changed(recipe: Recipe, rate: float) -> dict[str, object]:
    """Return the fields of a recipe that differ from the defaults, at one learning rate."""
    usual = vars(Recipe(method=recipe.method))
    mine = {**vars(recipe), "learning_rates": (rate,), "device": None}
    mine = {name: one for name, one in mine.items() if recipe.method != "probe" or name in OF_A_PROBE}
    return {"method": recipe.method} | {name: one for name, one in mine.items() if one != usual[name]}
