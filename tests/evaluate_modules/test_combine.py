"""`evaluate.combine` over the modules, alone and beside one of another kind, by every way in."""

import evaluate
import pytest

from hf_transfer_score.errors import InputError
from tests.evaluate_modules.samples import expected, load, sample

OTHER = """
import datasets
import evaluate
import numpy as np


class LargestFeature(evaluate.Metric):
    def _info(self):
        inputs = {"predictions": datasets.Sequence(datasets.Value("float32")), "references": datasets.Value("int32")}
        return evaluate.MetricInfo(description="", citation="", features=datasets.Features(inputs))

    def _compute(self, predictions, references):
        return {"largest": float(np.max(np.asarray(predictions))), "rows": len(references)}
"""


@pytest.fixture(scope="module")
def other(tmp_path_factory):
    """A module as `evaluate` has hundreds: it knows nothing of ours."""
    folder = tmp_path_factory.mktemp("other") / "largest_feature"
    folder.mkdir()
    (folder / "largest_feature.py").write_text(OTHER)
    return evaluate.load(str(folder))


def wanted(features, labels):
    return expected("face", features, labels) | expected("ncti", features, labels)


def add_batches(combined, features, labels):
    for start in range(0, len(labels), 100):
        combined.add_batch(predictions=features[start : start + 100], references=labels[start : start + 100])


def add_lists(combined, features, labels):
    combined.add_batch(predictions=features.tolist(), references=labels.tolist())


def add_rows(combined, features, labels):
    for row, label in zip(features, labels, strict=True):
        combined.add(prediction=row, reference=label)


def test_both_in_one_call():
    features, labels = sample()
    both = evaluate.combine([load("face"), load("ncti")])
    assert both.compute(predictions=features, references=labels) == wanted(features, labels)
    assert both.compute(predictions=features.tolist(), references=labels.tolist()) == wanted(features, labels)
    assert both.compute(features=features, references=labels) == wanted(features, labels)
    options = expected("face", features, labels, pca=4) | expected("ncti", features, labels, pca=4)
    assert both.compute(predictions=features, references=labels, pca=4) == options


def test_names_of_ones_own_and_prefixes():
    features, labels = sample()
    prefixed = evaluate.combine({"a": load("face"), "b": load("face")})
    found = prefixed.compute(predictions=features, references=labels)
    assert found["a_face"] == found["b_face"] == wanted(features, labels)["face"]
    forced = evaluate.combine([load("ncti")], force_prefix=True).compute(predictions=features, references=labels)
    assert set(forced) == {f"ncti_transferability_{term}" for term in ("ncti", "seli", "ncc", "vc")}


@pytest.mark.parametrize("add", [add_batches, add_lists, add_rows])
def test_beside_a_module_of_another_kind(other, add):
    features, labels = sample()
    for modules in ([load("face"), other, load("ncti")], [other, load("face"), load("ncti")]):
        combined = evaluate.combine(modules)
        add(combined, features, labels)
        found = combined.compute()
        assert found == wanted(features, labels) | {"largest": float(features.max()), "rows": 240}


def test_half_the_input_is_named_in_the_words_of_combine():
    both = evaluate.combine([load("face"), load("ncti")])
    with pytest.raises(InputError, match="no features: pass the features as `predictions`"):
        both.add_batch(references=[0, 1])
    with pytest.raises(InputError, match="no references"):
        both.add(prediction=[0.0, 1.0])
