"""The linear probe: a logistic regression on features of the untouched checkpoint."""

from __future__ import annotations

import warnings
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from hf_transfer_score.truth.rows import Rows

Array = NDArray[np.float64]

MOST_ITERATIONS = 2_000


class Probe(NamedTuple):
    """A fitted probe: the shares of each part that it classifies rightly, and the penalty that was chosen."""

    train: float
    validation: float
    test: float
    penalty: float


def fit_probe(
    rows: Array, codes: Rows, parts: tuple[Rows, Rows], test: tuple[Array, Rows], penalties: tuple[float, ...]
) -> Probe:
    """Fit a logistic regression at each penalty, and return how the one best on the validation part does.

    Features are shifted and scaled by two fixed numbers, and a penalty counts beside the mean loss of a row, so that
    penalties mean the same for every checkpoint and every number of rows.

    Args:
        rows: features (N, D).
        codes: classes (N,).
        parts: places of the rows to fit on, and of those to choose by.
        test: features (M, D) and their classes.
        penalties: half the squared length of the weights costs so much.
    """
    fitted_on, chosen_by = parts
    centre = rows[fitted_on].mean(0)
    scale = max(float(np.sqrt(np.square(rows[fitted_on] - centre).mean())), 1e-12)
    scaled, tested = (rows - centre) / scale, (test[0] - centre) / scale
    best: tuple[float, float, float, Any] | None = None
    for penalty in sorted(penalties, reverse=True):  # of equally good ones the strongest counts
        model = _fitted(scaled[fitted_on], codes[fitted_on], penalty)
        score = float(model.score(scaled[chosen_by], codes[chosen_by]))
        loss = _loss(model, scaled[chosen_by], codes[chosen_by])
        if best is None or (score, -loss) > (best[0], -best[1]):
            best = (score, loss, penalty, model)
    assert best is not None
    score, _, penalty, model = best
    return Probe(
        float(model.score(scaled[fitted_on], codes[fitted_on])), score, float(model.score(tested, test[1])), penalty
    )


def _fitted(rows: Array, codes: Rows, penalty: float) -> Any:
    from sklearn.linear_model import LogisticRegression

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # one that is not quite at its end is as good a probe
        return LogisticRegression(C=1 / (penalty * len(rows)), max_iter=MOST_ITERATIONS).fit(rows, codes)


def _loss(model: Any, rows: Array, codes: Rows) -> float:
    chosen = model.predict_proba(rows)[np.arange(len(codes)), np.searchsorted(model.classes_, codes)]
    return float(-np.log(np.maximum(chosen, np.finfo(np.float64).tiny)).mean())
