"""Columns of Arrow, pandas and `datasets` that hold one list or array a row, and what they may not hold."""

import datasets
import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
import scipy.sparse
import torch

from hf_transfer_score import score_features
from hf_transfer_score.errors import FeaturesError, LabelsError
from tests.evaluate_modules.samples import expected, load, sample


def fixed(rows):
    return pa.FixedSizeListArray.from_arrays(rows.reshape(-1), rows.shape[1])


def sliced(rows):
    """Return the rows as a slice of a longer column, which has them behind an offset."""
    return fixed(np.concatenate([rows[:7] + 1, rows, rows[:3]])).slice(7, len(rows))


def chunked(rows):
    parts = [fixed(rows[:1]), fixed(rows[1:90]), fixed(rows[:0]), fixed(rows[90:])]
    return pa.chunked_array(parts)


def dataset(kind):
    def column(rows):
        return datasets.Dataset.from_dict({"x": list(rows)}).with_format(kind)["x"]

    return column


def shuffled(rows):
    """Return a column of pandas whose index is not the order of its rows."""
    order = np.random.default_rng(0).permutation(len(rows))
    return pd.Series(list(rows[np.argsort(order)]))[order]


COLUMNS = {
    "lists": lambda rows: pa.array(rows.tolist(), pa.list_(pa.float32())),
    "large lists": lambda rows: pa.array(rows.tolist(), pa.large_list(pa.float32())),
    "list views": lambda rows: pa.array(rows.tolist(), pa.list_view(pa.float32())),
    "fixed": fixed,
    "sliced": sliced,
    "chunked": chunked,
    "tensors": pa.FixedShapeTensorArray.from_numpy_ndarray,
    "table": lambda rows: pa.table({"x": chunked(rows)})["x"],
    "half": lambda rows: pa.array(list(rows.astype(np.float16)), pa.list_(pa.float16())),
    "arrow scalars": lambda rows: list(fixed(rows)),
    "pandas arrays": lambda rows: pd.Series(list(rows)),
    "pandas lists": lambda rows: pd.DataFrame({"x": rows.tolist()})["x"],
    "pandas tensors": lambda rows: pd.Series(list(torch.from_numpy(rows))),
    "pandas order": shuffled,
    "pandas arrow": lambda rows: pd.Series(fixed(rows), dtype=pd.ArrowDtype(fixed(rows).type)),
    "pandas frame": pd.DataFrame,
    "objects": lambda rows: pd.Series(list(rows)).to_numpy(),
    "datasets": dataset(None),
    "datasets numpy": dataset("numpy"),
    "datasets arrow": dataset("arrow"),
    "datasets pandas": dataset("pandas"),
    "datasets torch": dataset("torch"),
}


@pytest.mark.parametrize("form", COLUMNS)
def test_columns_give_the_numbers_of_the_array(form):
    features, labels = sample()
    column, module = COLUMNS[form](features), load("face")
    wanted = expected("face", features.astype(np.float16) if form == "half" else features, labels)
    assert module.compute(predictions=column, references=labels) == wanted
    module.add_batch(predictions=column[:100], references=labels[:100])
    module.add_batch(predictions=column[100:], references=labels[100:])
    assert module.compute() == wanted


def test_columns_of_a_streamed_dataset():
    features, labels = sample()
    stream = datasets.Dataset.from_dict({"x": list(features), "y": labels}).to_iterable_dataset()
    found = load("face").compute(predictions=stream["x"], references=stream["y"])
    assert found == expected("face", features, labels)


@pytest.mark.parametrize(
    "convert",
    [
        pa.array,
        lambda labels: pa.chunked_array([labels[:9], labels[9:]]),
        lambda labels: pa.array(labels).dictionary_encode(),
        pd.Series,
        lambda labels: pd.Series(labels, dtype="Int64"),
        lambda labels: pd.Series(labels, dtype="category"),
        lambda labels: datasets.Dataset.from_dict({"y": labels})["y"],
        lambda labels: list(pa.array(labels)),
    ],
    ids=["arrow", "chunked", "dictionary", "pandas", "nullable", "categories", "datasets", "scalars"],
)
def test_columns_of_labels(convert):
    features, labels = sample()
    assert load("face").compute(predictions=fixed(features), references=convert(labels)) == expected(
        "face", features, labels
    )


def test_single_rows_of_columns():
    features, labels = sample()
    module = load("face")
    for row, label in zip(fixed(features), pa.array(labels), strict=True):
        module.add(prediction=row, reference=label)
    assert module.compute() == expected("face", features, labels)


@pytest.mark.parametrize(
    ("features", "message"),
    [
        (pa.array([[1.0, 2.0], [3.0]]), "ragged, its lists have 1 to 2 values"),
        (pa.chunked_array([pa.array([[1.0, 2.0]]), pa.array([[3.0]])]), "ragged, its lists have 1 to 2 values"),
        (pa.array([[1.0, 2.0], None]), r"missing \(null\) in 1 of 2 rows"),
        (pa.array([[1.0, None], [1.0, 2.0]]), "holds nulls inside its lists"),
        (pa.array([["a"], ["b"]]), "must hold lists of numbers, one vector per row; holds list<item: string>"),
        (pa.array([[[1.0]], [[2.0]]]), "must hold lists of numbers, one vector per row"),
        (pa.FixedShapeTensorArray.from_numpy_ndarray(np.zeros((2, 3, 4))), r"Got shape \(2, 3, 4\)"),
        (pa.array([1.0, 2.0]), r"shape \(N, D\)"),
        (pd.Series([np.zeros(2), None]), r"missing \(None\)"),
        (pd.Series([np.zeros(2), np.zeros(3)]), "ragged"),
        (pd.Series([{}, {}]), "object array"),
        (scipy.sparse.csr_matrix(np.eye(2)), r"sparse matrix \(csr_matrix of shape \(2, 2\)\).*`\.toarray\(\)`"),
        (scipy.sparse.coo_array(np.eye(2)), r"sparse matrix \(coo_array"),
        (list(scipy.sparse.csr_matrix(np.eye(2))), r"sparse matrix \(csr_matrix of shape \(1, 2\)\)"),
        (torch.eye(2).to_sparse(), r"sparse matrix \(Tensor of shape \(2, 2\)\).*`\.to_dense\(\)`"),
    ],
)
def test_columns_that_are_no_matrix_are_refused_by_name(features, message):
    module = load("face")
    for call in (module.compute, module.add_batch):
        with pytest.raises(FeaturesError, match=message):
            call(predictions=features, references=[0, 1])
    assert len(module) == 0


def test_missing_and_sparse_labels_are_refused():
    with pytest.raises(LabelsError, match=r"references are missing \(null\) in 1 of 2 rows"):
        load("face").compute(predictions=np.eye(2), references=pa.array([0, None]))
    with pytest.raises(FeaturesError, match="references are a sparse matrix"):
        load("face").compute(predictions=np.eye(2), references=scipy.sparse.csr_matrix([0, 1]))


def test_sparse_matrices_are_named_without_evaluate_too():
    with pytest.raises(FeaturesError, match=r"sparse matrix \(csr_matrix of shape \(4, 4\)\)"):
        score_features(scipy.sparse.csr_matrix(np.eye(4)), [0, 0, 1, 1])
