"""Parity with numbers of the public codes and of independent float64 formulas, within each number's stated tolerance.

Every asserted number is either computed here or listed in LEFT_OUT with the reason; a new one in neither fails.
"""

import json
from functools import cache
from pathlib import Path

import numpy as np
import pytest

from hf_transfer_score import get_metric, weighted_kendall
from hf_transfer_score.metrics.labelled import LabelledFeatures

GOLDEN = Path(__file__).parent.parent / "golden"
EXPECTED = json.loads((GOLDEN / "expected.json").read_text(encoding="utf-8"))["cases"]

LEFT_OUT = {
    ("parc", "cka_of_rdms_debiased"): "another statistic under PARC's name: kernel alignment, not a rank correlation",
    ("parc", "pca32_sign_largest_score_positive"): "the other convention for the sign of a component",
    ("parc", "pca32_unflipped_svd_signs"): "signs as they fall, which no convention fixes",
    ("knn", "loo_k3_percent"): "counts a fraction of a vote when all neighbours differ",
    ("knn", "loo_k5_percent"): "counts a fraction of a vote when all neighbours differ",
    ("nc1", "etf_error"): "geometry of the class means alone",
    ("nc1", "trace"): "an intermediate of the score",
    ("leep", "log_rownormalised"): "probabilities are taken as they come",
    ("transrate", "R_"): "an intermediate of the score",
    ("face_fairness", "spherical_scalarlog"): "the single-logarithm convention is GBC's",
    ("face_fairness", "sum_BC"): "an intermediate of the term",
    ("face_fairness", "max_BC"): "an intermediate of the term",
    ("face_fairness", "F_t"): "the term before division by ln(K-1)",
    ("face_fairness", "F_0"): "the term before division by ln(K-1)",
    ("face_fairness", "F_1"): "the term before division by ln(K-1)",
}
WITHOUT_PROBABILITIES = ("relu_longtail", "low_rank24", "large_offset")
"""Inputs kept without their source probabilities, for their size; LEEP is checked on the other four."""


@cache
def sample(case: str, dtype: str = "float32") -> LabelledFeatures:
    """Return a golden input, read once: metrics must not change it."""
    arrays = np.load(GOLDEN / f"{case}.npz")
    return LabelledFeatures(
        arrays["X"].astype(dtype), arrays["y"], targets=arrays["targets"], source_probs=arrays.get("source_probs")
    )


@cache
def value(case: str, metric: str, term: str | None = None, **options: object) -> float:
    """Return one term of a metric on a golden input."""
    return get_metric(metric, **options).measure(sample(case)).terms[term or metric]


LOGME = {
    "fixed_point": {"convention": "official", "pca": "none"},
    "fixed_point_D_count_direct_svd": {"convention": "official", "pca": "none"},
    "icml_evidence": {"convention": "icml", "pca": "none"},
    "icml_evidence_no_pca": {"convention": "icml", "pca": "none"},
    "icml_evidence_pca64_exact": {"convention": "icml", "pca": 64},
    "fixed_point_rank_corrected": {"rounds": 11, "tolerance": 1e-3, "pca": "none"},
    "fully_converged_rank_corrected": {"pca": "none"},
}


def ncti(case: str, convention: str, key: str) -> float:
    return value(case, "ncti", {"vc_log": "vc"}.get(key, key), pca=64)


def sfda(case: str, convention: str, key: str) -> float:
    return value(case, "sfda", convention="exact" if "exact" in convention else "official")


def logme(case: str, convention: str, key: str) -> float:
    return value(case, "logme", **LOGME[convention])


def logme_regression(case: str, convention: str, key: str) -> float:
    data = sample(case)
    columns = slice(None) if key == "mean" else slice(int(key[-1]), int(key[-1]) + 1)
    metric = get_metric("logme_regression", **LOGME[convention])
    return metric(data.features, targets=data.targets[:, columns]).terms["logme_regression"]


def hscore(case: str, convention: str, key: str) -> float:
    cut = 1e-5 if "rcond1e-5" in convention else 1e-10
    return value(case, "hscore", cut=cut, pca=64 if "pca64" in convention else "none")


def reg_hscore(case: str, convention: str, key: str) -> float:
    return value(case, "reg_hscore", pca=64 if "pca64" in convention else "none")


def gbc(case: str, convention: str, key: str) -> float:
    name = convention if key == "score" else key
    return value(
        case,
        "gbc",
        convention="official" if "scalarlog" in name else "exact",
        covariance="diagonal" if "diagonal" in name else "spherical",
        variance="unbiased" if "unbiased" in name else "biased",
        pca="none" if "no_pca" in name else 64,
    )


def transrate(case: str, convention: str, key: str) -> float:
    name = convention if key == "score" else key
    return value(
        case,
        "transrate",
        normalise="unnormalised" not in name,
        weighting="class" if "class_mean" in name else "sample",
        pca=64 if "pca64" in name else "none",
    )


def leep(case: str, convention: str, key: str) -> float:
    return value(case, "leep", logarithm="no_log" not in (convention if key == "score" else key))


def knn(case: str, convention: str, key: str) -> float:
    if key == "score":
        return 100 * value(case, "knn", neighbours=1, distance="euclidean")
    ties = "nearest" if key.endswith("nearest") else "smallest_label"
    return value(case, "knn", neighbours=int(key[5]), distance="euclidean", ties=ties)


def nc1(case: str, convention: str, key: str) -> float:
    if key == "cdnv":
        return value(case, "cdnv")
    weighting = "mixed"
    for word, meaning in (("_balanced", "class"), ("_weighted", "sample")):
        weighting = meaning if key.endswith(word) else weighting
    return value(case, "nc1", weighting=weighting, form="trace_ratio" if "quotient" in key else "pseudo_inverse")


def vci(case: str, convention: str, key: str) -> float:
    return value(case, "vci")


def face_fairness(case: str, convention: str, key: str) -> float:
    covariance, _, number = key.rpartition(".F_norm_") if ".F_" in key else ("pooled_spherical", "", key[7:])
    return value(
        case, "face", "class_fairness", covariance=covariance, temperature=float(number.removeprefix("t")), pca=64
    )


def parc(case: str, convention: str, key: str) -> float:
    exact_pca = convention.startswith("pca32") or key.startswith("pca32")
    return value(case, "parc", pca=32 if exact_pca else "none", max_rows=5000)


CHECKS = {
    name: function for name, function in globals().items() if name in EXPECTED["gauss_balanced"] and callable(function)
}


def flat(terms: dict, prefix: str = "") -> dict[str, float]:
    """Return nested terms as one level, keys joined by a dot."""
    found: dict[str, float] = {}
    for key, item in terms.items():
        found |= flat(item, f"{prefix}{key}.") if isinstance(item, dict) else {prefix + key: item}
    return found


def named(word: str, convention: str, key: str) -> bool:
    """Return whether a word of LEFT_OUT names a number."""
    return convention == word or key.startswith(word) or f".{word}" in key


def left_out(case: str, metric: str, convention: str, key: str) -> bool:
    """Return whether a number is one of those that the tables above leave out."""
    if metric == "leep" and case in WITHOUT_PROBABILITIES:
        return True
    return any(named(word, convention, key) for left, word in LEFT_OUT if left == metric)


def numbers() -> list:
    """Return a parameter set for every asserted number."""
    found = []
    for case, metrics in EXPECTED.items():
        for metric, entries in metrics.items():
            for entry in entries:
                for key, expected in flat(entry["terms"] or {}).items():
                    if entry["role"] != "assert" or left_out(case, metric, entry["convention"], key):
                        continue
                    tolerance = entry["tolerance"].get(key, entry["tolerance"])
                    name = f"{case}-{metric}-{entry['source'].split()[0]}-{entry['convention']}-{key}"
                    found.append(pytest.param(case, metric, entry["convention"], key, expected, tolerance, id=name))
    return found


@pytest.mark.parametrize(("case", "metric", "convention", "key", "expected", "tolerance"), numbers())
def test_golden_number(case, metric, convention, key, expected, tolerance):
    ours = CHECKS[metric](case, convention, key)
    assert abs(ours - expected) <= tolerance.get("atol", 0) + tolerance.get("rtol", 0) * abs(expected)


@pytest.mark.parametrize("case", sorted(EXPECTED))
def test_nleep_lies_in_the_spread_of_random_starts(case):
    for entry in EXPECTED[case].get("nleep", []):
        expected, tolerance = entry["terms"]["score"], entry["tolerance"]["atol"]
        assert value(case, "nleep") == pytest.approx(expected, abs=tolerance)


def test_every_reason_leaves_something_out():
    """A reason that no longer applies must go."""
    for metric, word in LEFT_OUT:
        found = [
            key
            for metrics in EXPECTED.values()
            for entry in metrics.get(metric, [])
            for key in flat(entry["terms"] or {})
            if named(word, entry["convention"], key)
        ]
        assert found, (metric, word)


def test_the_published_cifar10_table_gives_its_agreement():
    table = json.loads((GOLDEN / "published_ncti_cifar10.json").read_text(encoding="utf-8"))
    models = sorted(table["ncti_score"])
    agreement = weighted_kendall(
        [table["ncti_score"][model] for model in models], [table["finetuned_accuracy"][model] for model in models]
    )
    assert agreement == pytest.approx(table["exact_weighted_kendall_tau"], abs=1e-12)
    assert round(agreement, 3) == 0.843
