"""The modules in one process: every way in gives the metric's own numbers, and bad input is named."""

import doctest
import json
import logging
from dataclasses import fields
from itertools import pairwise

import evaluate
import numpy as np
import pytest
import torch

from hf_transfer_score import TransferScoreError, get_metric
from hf_transfer_score.errors import FeaturesError, InputError, LabelsError, OptionError
from tests.conftest import clean_environment
from tests.evaluate_modules.samples import MODULES, NAMES, expected, load, sample


@pytest.fixture(params=["face", "ncti"])
def name(request):
    return request.param


@pytest.mark.parametrize("argument", ["features", "predictions"])
def test_direct_way_gives_the_metrics_own_numbers_under_both_names(name, argument):
    features, labels = sample()
    result = load(name).compute(**{argument: features}, references=labels)
    assert result == expected(name, features, labels)
    assert all(type(value) is float for value in result.values())


@pytest.mark.parametrize(
    "convert",
    [
        lambda array: array,
        lambda array: array.astype(np.float64) + 1e-9,
        lambda array: array.astype(np.float16),
        lambda array: (array * 10).astype(np.int32),
        lambda array: np.asfortranarray(array)[:, ::2],
        torch.from_numpy,
        lambda array: torch.from_numpy(array).double().requires_grad_(),
        lambda array: torch.from_numpy(array).half(),
        lambda array: torch.from_numpy(array).bfloat16(),
    ],
    ids=["float32", "float64", "float16", "int32", "strided", "torch", "torch64", "torch16", "bfloat16"],
)
def test_direct_way_and_arrow_agree_bit_for_bit(name, convert):
    features, labels = sample()
    features = convert(features)
    direct = load(name).compute(features=features, references=labels)
    assert direct == load(name).compute(features=features.tolist(), references=labels.tolist())
    assert direct == load(name).compute(features=list(features), references=list(torch.from_numpy(labels)))
    assert direct == expected(name, features, labels)


def test_keep_in_memory_agrees(name):
    features, labels = sample()
    module = load(name, keep_in_memory=True)
    for rows in (features, features.tolist()):
        assert module.compute(features=rows, references=labels) == expected(name, features, labels)


@pytest.mark.parametrize(
    "forms", [[np.asarray], [np.ndarray.tolist], [np.ndarray.tolist, np.asarray, torch.from_numpy]]
)
@pytest.mark.parametrize("cuts", [[1, 3, 100, 101], [60, 60, 200]])
def test_uneven_batches_give_what_one_computation_gives(name, forms, cuts):
    """The order of rows matters here: labels are not sorted, so a swap of two parts would show."""
    features, labels = sample()
    module, edges = load(name), [0, *cuts, len(labels)]
    for turn, (start, end) in enumerate(pairwise(edges)):
        form = forms[turn % len(forms)]
        module.add_batch(features=form(features[start:end]), references=form(labels[start:end]))
    assert len(module) == len(labels)
    assert module.compute() == expected(name, features, labels)
    assert len(module) == 0


def test_rows_keep_their_order_across_both_ways(monkeypatch):
    features, labels = sample()
    module, seen = load("face"), {}
    monkeypatch.setattr(module, "_compute", lambda **rows: seen.update(rows))
    module.add(prediction=features[0], reference=labels[0])
    module.add_batch(features=features[1:50], references=labels[1:50])
    module.add(features=features[50].tolist(), references=int(labels[50]))
    module.add(predictions=features[51], references=labels[51])
    module.add_batch(predictions=features[52:90].tolist(), references=labels[52:90])
    module.add_batch(features=torch.from_numpy(features[90:]), references=labels[90:].tolist())
    module.compute()
    assert np.array_equal(seen["features"], features)
    assert np.array_equal(seen["references"], labels)


def test_single_rows_then_the_rest_in_compute(name):
    features, labels = sample()
    module = load(name)
    for row, label in zip(features[:30], labels[:30], strict=True):
        module.add(prediction=row, reference=label)
    result = module.compute(features=features[30:], references=labels[30:])
    assert result == expected(name, features, labels)


def test_a_batch_is_copied_so_that_its_buffer_may_be_reused():
    features, labels = sample()
    buffer, module = np.empty_like(features[:60]), load("face")
    for start in range(0, len(labels), 60):
        buffer[:] = features[start : start + 60]
        module.add_batch(features=buffer, references=labels[start : start + 60])
    assert module.compute() == expected("face", features, labels)


def test_options_reach_the_metric(name):
    features, labels = sample()
    result = load(name).compute(features=features, references=labels, pca=4)
    assert result == expected(name, features, labels, pca=4) != expected(name, features, labels)
    assert load(name).last_result.parameters["pca"] == 4


def test_every_option_and_term_is_described(name):
    module, metric = load(name), get_metric(name)
    for option in fields(metric.options):
        assert f"    {option.name}: " in module.inputs_description
    for term in metric.terms:
        assert f"    {term.name}: " in module.inputs_description
    assert module.description
    assert module.citation.strip().startswith("@")
    for address in (module.homepage, *module.codebase_urls, *module.reference_urls):
        assert address.startswith("https://")
    assert module.homepage in module.reference_urls and module.license == "Apache-2.0"
    assert list(module.features) == ["predictions", "references"]
    assert "Examples:" in module.compute.__doc__


def test_example_of_the_description_runs(name):
    module = load(name)
    test = doctest.DocTestParser().get_doctest(module.inputs_description, {}, NAMES[name], None, 0)
    assert test.examples
    assert doctest.DocTestRunner().run(test).failed == 0


def test_warnings_are_logged_and_kept_out_of_the_result(caplog):
    features, labels = sample(classes=2)
    with caplog.at_level(logging.WARNING):
        result = load("face").compute(features=features, references=labels)
    assert "face_transferability: with two classes" in caplog.text
    assert load("face").last_result.warnings
    assert set(result) == {"face", "variance_collapse", "class_fairness"}


def test_result_survives_saving(name, tmp_path):
    features, labels = sample()
    result = load(name).compute(features=features, references=labels)
    path = evaluate.save(tmp_path / "result.json", model="some-model", **result)
    saved = json.loads(path.read_text())
    assert {key: saved[key] for key in result} == result


@pytest.mark.parametrize("convert", [np.asarray, lambda rows: rows.tolist()], ids=["direct", "arrow"])
@pytest.mark.parametrize(
    ("spoil", "error", "message"),
    [
        (lambda x, y: (x, y[:-1]), LabelsError, "Got 239 references for 240 rows"),
        (lambda x, y: (x, y / 2), LabelsError, "one integer per row. Got float64"),
        (lambda x, y: (x, np.stack([y, y])), LabelsError, r"Got int64 \(2, 240\)"),
        (lambda x, y: (x, y.astype(str)), LabelsError, "one integer per row. Got <U"),
        (lambda x, y: (x, y * 0), LabelsError, "At least 2 classes"),
        (lambda x, y: (x, y * 0 - 1), LabelsError, "All labels are -1"),
        (lambda x, y: (np.where(x > 11, np.nan, x), y), FeaturesError, "non-finite"),
        (lambda x, y: (x[:, 0], y), FeaturesError, r"shape \(N, D\)"),
        (lambda x, y: (x * 0, y), FeaturesError, "identical"),
        (lambda x, y: (x.astype(str), y), FeaturesError, "must be real numbers"),
        (lambda x, y: (x[:0], y[:0]), InputError, "There are no rows"),
    ],
)
def test_bad_input_is_named_and_leaves_the_module_usable(convert, spoil, error, message):
    features, labels = sample()
    rows, classes = spoil(features, labels)
    with pytest.raises(error, match=message):
        load("face").compute(features=convert(rows), references=convert(classes))
    assert load("face").compute(features=features, references=labels) == expected("face", features, labels)


@pytest.mark.parametrize("rows", [[[1.0, 2.0], [3.0]], [[1.0, None], [2.0, 3.0]], [["a", "b"], ["c", "d"]]])
def test_lists_that_are_no_matrix_are_refused(rows):
    with pytest.raises(FeaturesError, match=r"ragged|real numbers"):
        load("face").compute(features=rows, references=[0, 1])


def test_nothing_added_is_an_error_of_ours():
    with pytest.raises(InputError, match="There are no rows: pass `predictions` and `references`"):
        load("face").compute()


@pytest.mark.parametrize("given", [{"features": np.eye(4)}, {"references": [0, 0, 1, 1]}])
def test_half_the_input_is_named(given):
    missing = {"features": "references", "references": "features"}[next(iter(given))]
    for call in (load("face").compute, load("face").add_batch):
        with pytest.raises(InputError, match=f"no {missing}"):
            call(**given)


def test_one_input_under_both_names_is_refused():
    with pytest.raises(InputError, match="both of its names"):
        load("face").compute(features=np.eye(4), predictions=np.eye(4), references=[0, 0, 1, 1])


def test_labels_are_called_references():
    with pytest.raises(InputError, match="no option `labels`: pass one class label per row as `references`"):
        load("face").compute(features=np.eye(4), labels=[0, 0, 1, 1])


def test_unknown_option_names_the_known_ones_and_keeps_what_was_added():
    features, labels = sample()
    module = load("face")
    module.add_batch(features=features, references=labels)
    with pytest.raises(OptionError, match="no option 'temprature'.* 'temperature'"):
        module.compute(temprature=0.1)
    with pytest.raises(OptionError, match="above 0"):
        module.compute(temperature=-1)
    assert module.compute(temperature=0.1) == expected("face", features, labels, temperature=0.1)


def test_batches_of_another_width_are_refused_and_the_others_kept():
    features, labels = sample()
    module = load("face")
    module.add_batch(features=features[:100], references=labels[:100])
    with pytest.raises(FeaturesError, match="Earlier rows have 24 features, but these have 12"):
        module.add_batch(features=features[100:, :12], references=labels[100:])
    module.add_batch(features=features[100:], references=labels[100:])
    assert module.compute() == expected("face", features, labels)


def test_no_file_is_left_behind(tmp_path):
    features, labels = sample()
    module = load("face", cache_dir=str(tmp_path))
    module.compute(features=features.tolist(), references=labels.tolist())
    module.add_batch(features=features.tolist(), references=(labels * 0).tolist())
    with pytest.raises(TransferScoreError):
        module.compute()
    assert not list(tmp_path.rglob("*.arrow"))


WORKER = """
import json, sys, time
import numpy as np
import pyarrow as pa
import evaluate
folder, rank, data = sys.argv[1], int(sys.argv[2]), np.load(sys.argv[3])
features, labels = data["features"], data["labels"]
module = evaluate.load(folder, num_process=2, process_id=rank, experiment_id="both", cache_dir=sys.argv[4])
results = []
for turn, cut in enumerate((100, 170, len(labels))):
    part = slice(0, cut) if rank == 0 else slice(cut, None)
    if rank == 0 and turn:
        time.sleep(0.5)  # the other process reaches its next round while this one is behind
    for start in range(0, len(labels[part]), 64):
        rows = slice(start, start + 64)
        batch = (np.asarray, np.ndarray.tolist, lambda array: pa.array(array.tolist()))[turn](features[part][rows])
        module.add_batch(predictions=batch, references=labels[part][rows])
    results.append(module.compute())
print(json.dumps(results))
"""


def test_two_processes_compute_on_the_rows_of_both_in_three_rounds(parent, tmp_path):
    """In the last round one process has no rows at all."""
    features, labels = sample()
    np.savez(tmp_path / "data.npz", features=features, labels=labels)
    folder, environment = str(MODULES / NAMES["face"]), clean_environment(tmp_path / "home")
    arguments = [str(tmp_path / "data.npz"), str(tmp_path / "cache")]
    workers = [
        parent.start([folder, str(rank), *arguments], environment, code=WORKER, imports=("datasets", "evaluate"))
        for rank in (0, 1)
    ]
    done = [worker.wait() for worker in workers]
    assert [one.status for one in done] == [0, 0], done
    first, second = (json.loads(one.out.splitlines()[-1]) for one in done)
    result = get_metric("face")(features, labels)
    assert first == [{"face": result.headline, **result.terms}] * 3
    assert second == [None, None, None]
    assert not list((tmp_path / "cache").rglob("*.arrow"))
