"""Straightforward NumPy and scikit-learn versions of the metrics, to time against and to check values against.

Each function does the mathematics of one metric the way its public code does: one (N, D) or (D, D) matrix at a time,
pseudo-inverses, loops over classes and pairs of classes. They are written from the formulas, with the conventions of
this package's defaults, so that values agree. Features stay in float32 where a public code hands them to scikit-learn
as they come, and are float64 where a pseudo-inverse or a determinant would otherwise return rounding noise.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
from numpy.typing import NDArray

Terms = dict[str, float]

COMPONENTS = 64
SHRINKAGE_FLOOR = 1e-10
VARIANCE_FLOOR = 1e-4
RELATIVE_CUT = 1e-10
NEIGHBOURS = 5
PAIRWISE_ROWS = 5000


@dataclass(frozen=True)
class Sample:
    """Features (N, D), labels (N,) in 0..K-1, source-class probabilities (N, S) and regression targets (N, T)."""

    features: NDArray[np.float32]
    labels: NDArray[np.int64]
    source_probs: NDArray[np.float32]
    targets: NDArray[np.float64]

    @property
    def classes(self) -> int:
        """Number of classes K."""
        return int(self.labels.max()) + 1

    @property
    def doubled(self) -> Sample:
        """The same sample with float64 features."""
        return replace(self, features=self.features.astype(np.float64))

    def by_class(self) -> Iterator[NDArray[np.floating]]:
        """Yield the rows of one class after the other."""
        for label in range(self.classes):
            yield self.features[self.labels == label]

    def class_means(self) -> NDArray[np.floating]:
        """Return the class means (K, D)."""
        return np.stack([rows.mean(axis=0) for rows in self.by_class()])


def _principal(sample: Sample, solver: str) -> Sample:
    from sklearn.decomposition import PCA

    width = min(COMPONENTS, *sample.features.shape)
    return replace(sample, features=PCA(width, svd_solver=solver, random_state=0).fit_transform(sample.features))


def ncti(sample: Sample, solver: str = "auto") -> Terms:
    """PCA, linear discriminant analysis, and nuclear norms of the (N, ·) matrices."""
    from sklearn.discriminant_analysis import LinearDiscriminantAnalysis

    rows = _principal(sample, solver).features
    shrinkage = max(float(np.exp(-rows[:, :32].var(axis=0, ddof=1).sum())), SHRINKAGE_FLOOR)
    if shrinkage > SHRINKAGE_FLOOR:
        fit = LinearDiscriminantAnalysis(solver="eigen", shrinkage=shrinkage)
    else:
        fit = LinearDiscriminantAnalysis(solver="svd")
    directions = fit.fit(rows, sample.labels).transform(rows)
    posterior = fit.predict_proba(rows)
    norms = [np.linalg.norm(posterior[sample.labels == label], "nuc") for label in range(sample.classes)]
    return {
        "seli": float(np.linalg.norm(directions - directions.mean(axis=0), "nuc")),
        "ncc": float(posterior[np.arange(len(rows)), sample.labels].mean()),
        "vc": float(np.log(np.sum(norms))),
    }


def _variability(sample: Sample) -> float:
    """Return trace(Σ_W Σ_B†) / K with classes weighted equally, by a (D, D) pseudo-inverse."""
    sample = sample.doubled
    width = sample.features.shape[1]
    within = np.zeros((width, width))
    for rows in sample.by_class():
        within += np.cov(rows, rowvar=False, bias=True) / sample.classes
    between = np.cov(sample.class_means(), rowvar=False, bias=True)
    return float(np.trace(within @ np.linalg.pinv(between, rcond=RELATIVE_CUT)) / sample.classes)


def nc1(sample: Sample) -> Terms:
    """Within-class over between-class covariance, by a pseudo-inverse."""
    return {"nc1": _variability(sample)}


def face(sample: Sample) -> Terms:
    """Variance collapse by a pseudo-inverse, and fairness by loops over pairs of classes, all of it in float64."""
    from scipy.special import softmax
    from scipy.stats import entropy

    collapse = -_variability(sample)
    reduced = _principal(sample.doubled, "full")
    means, count = reduced.class_means(), sample.classes
    variance = np.mean([np.maximum(rows.var(axis=0), VARIANCE_FLOOR).mean() for rows in reduced.by_class()])
    overlaps = np.zeros((count, count))
    for i in range(count):
        for j in range(i + 1, count):
            overlaps[i, j] = overlaps[j, i] = np.exp(-np.square(means[i] - means[j]).sum() / (8 * variance))
    entropies = [entropy(softmax(np.delete(overlaps[i], i) / 0.05)) for i in range(count)]
    return {"variance_collapse": collapse, "class_fairness": float(np.mean(entropies) / np.log(count - 1))}


def gbc(sample: Sample, solver: str = "auto") -> Terms:
    """PCA and a loop over pairs of spherical class Gaussians."""
    reduced = _principal(sample, solver)
    means, width = reduced.class_means(), reduced.features.shape[1]
    variances = [np.maximum(rows.var(axis=0), VARIANCE_FLOOR).mean() for rows in reduced.by_class()]
    total = 0.0
    for i in range(sample.classes):
        for j in range(i + 1, sample.classes):
            average = (variances[i] + variances[j]) / 2
            distance = np.square(means[i] - means[j]).sum() / (8 * average)
            distance += width / 2 * (np.log(average) - (np.log(variances[i]) + np.log(variances[j])) / 2)
            total += 2 * float(np.exp(-distance))
    return {"gbc": -total}


def logme(sample: Sample) -> Terms:
    """The authors' fixed point, one class after the other."""
    left, squares = _left_singular(sample.features.astype(np.float64))
    width = sample.features.shape[1]
    targets = ((sample.labels == label).astype(np.float64) for label in range(sample.classes))
    return {"logme": float(np.mean([_log_evidence(left, squares, target, width) for target in targets]))}


def logme_regression(sample: Sample) -> Terms:
    """The authors' fixed point, one target column after the other."""
    left, squares = _left_singular(sample.features.astype(np.float64))
    width = sample.features.shape[1]
    evidences = [_log_evidence(left, squares, target, width) for target in sample.targets.T]
    return {"logme_regression": float(np.mean(evidences))}


def _left_singular(features: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the left singular vectors (N, r) and squared singular values (r,), for N > D by the Gram matrix."""
    rows, width = features.shape
    if rows <= width:
        left, singular, _ = np.linalg.svd(features, full_matrices=False)
        return left, singular**2
    _, squares, right = np.linalg.svd(features.T @ features)
    singular = np.sqrt(squares)
    keep = singular > 1e-10
    left = features @ right[keep].T
    left /= singular[keep]
    return left, squares[keep]


def _log_evidence(left: NDArray[np.float64], squares: NDArray[np.float64], target: NDArray, width: int) -> float:
    rows = len(left)
    projected = np.square(left.T @ target)
    outside = max(float(target @ target - projected.sum()), 0.0)
    alpha = beta = 1.0
    for _ in range(11):
        ratio = alpha / beta
        effective = (squares / (squares + ratio)).sum()
        weights = (squares * projected / (squares + ratio) ** 2).sum()
        residual = (projected / (1 + squares / ratio) ** 2).sum() + outside
        alpha, beta = effective / (weights + 1e-5), (rows - effective) / (residual + 1e-5)
        if abs(alpha / beta - ratio) / ratio <= 1e-3:
            break
    evidence = width * np.log(alpha) + rows * np.log(beta) - np.log(alpha + beta * squares).sum()
    evidence -= beta * residual + alpha * weights + rows * np.log(2 * np.pi)
    return float(evidence / (2 * rows))


def hscore(sample: Sample) -> Terms:
    """Pseudo-inverse of the feature covariance times the covariance of the rows' class means."""
    explained = np.cov(sample.doubled.class_means()[sample.labels], rowvar=False)
    total = np.cov(sample.features, rowvar=False)
    return {"hscore": float(np.trace(np.linalg.pinv(total, rcond=RELATIVE_CUT) @ explained))}


def reg_hscore(sample: Sample) -> Terms:
    """Ledoit-Wolf covariance and a solve."""
    from sklearn.covariance import ledoit_wolf

    features = sample.features.astype(np.float64)
    features -= features.mean(axis=0)
    shrunk, intensity = ledoit_wolf(features, assume_centered=True)
    means = replace(sample, features=features).class_means()
    explained = np.cov(means[sample.labels], rowvar=False)
    return {"reg_hscore": float((1 - intensity) * np.trace(np.linalg.solve(shrunk, explained)))}


def transrate(sample: Sample) -> Terms:
    """Determinants of (D, D) matrices, of all rows and of each class."""
    features = sample.features.astype(np.float64)
    features -= features.mean(axis=0)
    features /= np.linalg.norm(features)
    value = _coding_rate(features)
    for rows in replace(sample, features=features).by_class():
        value -= len(rows) / len(features) * _coding_rate(rows)
    return {"transrate": value}


def _coding_rate(rows: NDArray[np.float64]) -> float:
    count, width = rows.shape
    return float(np.linalg.slogdet(np.eye(width) + rows.T @ rows / (count * 1e-4))[1] / 2)


def vci(sample: Sample) -> Terms:
    """Pseudo-inverse of the total covariance times the between-class covariance, over the latter's rank."""
    between = np.cov(sample.doubled.class_means()[sample.labels], rowvar=False, bias=True)
    total = np.cov(sample.features, rowvar=False, bias=True)
    explained = np.trace(np.linalg.pinv(total, rcond=RELATIVE_CUT) @ between)
    rank = np.linalg.matrix_rank(between, tol=RELATIVE_CUT * np.linalg.norm(between, 2), hermitian=True)
    return {"vci": float(1 - explained / rank)}


def cdnv(sample: Sample) -> Terms:
    """A loop over pairs of classes."""
    sample = sample.doubled
    means = sample.class_means()
    variances = [np.square(rows - mean).sum(axis=1).mean() for rows, mean in zip(sample.by_class(), means, strict=True)]
    ratios = [
        (variances[i] + variances[j]) / 2 / np.square(means[i] - means[j]).sum()
        for i in range(sample.classes)
        for j in range(i + 1, sample.classes)
    ]
    return {"cdnv": float(np.mean(ratios))}


def sfda(sample: Sample) -> Terms:
    """Two discriminant analyses by (D, D) eigenproblems, the second on rows mixed with the other classes' means."""
    from scipy.sparse.linalg import eigsh
    from scipy.special import softmax

    features = sample.features.astype(np.float64)
    features -= features.mean(axis=0)
    sample, labels = replace(sample, features=features), sample.labels
    largest = float(eigsh(_within(sample), k=1, return_eigenvectors=False)[0])
    shrinkage = max(np.exp(-5 * largest), SHRINKAGE_FLOOR)
    means = sample.class_means()
    weights = softmax(_discriminant_posterior(sample, shrinkage), axis=1)[np.arange(len(labels)), labels]
    for label in range(sample.classes):
        chosen = labels == label
        others = np.delete(means, label, axis=0).mean(axis=0)
        features[chosen] = weights[chosen, None] * features[chosen] + (1 - weights[chosen, None]) * others
    posterior = _discriminant_posterior(sample, shrinkage)
    return {"sfda": float(posterior[np.arange(len(labels)), labels].mean())}


def _within(sample: Sample) -> NDArray[np.float64]:
    """Return the within-class covariance, classes weighted by their rows."""
    within = np.zeros((sample.features.shape[1],) * 2)
    for rows in sample.by_class():
        within += len(rows) / len(sample.labels) * np.cov(rows, rowvar=False, bias=True)
    return within


def _discriminant_posterior(sample: Sample, shrinkage: float) -> NDArray[np.float64]:
    """Return p(class | row) of a discriminant analysis with a shrunk covariance, (N, K)."""
    from scipy.linalg import eigh
    from scipy.special import softmax

    within = _within(sample)
    between = np.cov(sample.features, rowvar=False, bias=True) - within
    spread = np.trace(within) / len(within)
    _, vectors = eigh(between, (1 - shrinkage) * within + shrinkage * spread * np.eye(len(within)))
    means = sample.class_means()
    loadings = means @ vectors @ vectors.T
    priors = np.bincount(sample.labels) / len(sample.labels)
    offsets = np.log(priors) - np.einsum("kd,kd->k", means, loadings) / 2
    return softmax(sample.features @ loadings.T + offsets, axis=1)


def leep(sample: Sample) -> Terms:
    """The empirical joint distribution of labels and source classes, one class after the other."""
    return {"leep": _leep(sample.source_probs.astype(np.float64), sample.labels)}


def _leep(probabilities: NDArray[np.float64], labels: NDArray[np.int64]) -> float:
    joint = np.stack([probabilities[labels == label].sum(axis=0) for label in range(labels.max() + 1)]) / len(labels)
    conditional = joint / joint.sum(axis=0)
    return float(np.log((conditional[labels] * probabilities).sum(axis=1)).mean())


def nleep(sample: Sample) -> Terms:
    """PCA to 80 % of the variance, and a scikit-learn mixture of spherical Gaussians."""
    from sklearn.decomposition import PCA
    from sklearn.mixture import GaussianMixture

    rows = PCA(0.8, svd_solver="full").fit_transform(sample.features)
    mixture = GaussianMixture(5 * sample.classes, covariance_type="spherical", reg_covar=1e-5, random_state=0)
    return {"nleep": _leep(mixture.fit(rows).predict_proba(rows).astype(np.float64), sample.labels)}


def parc(sample: Sample) -> Terms:
    """Spearman correlation of all pairwise distances, on the same stratified part of a large sample as the metric."""
    from scipy.spatial.distance import pdist
    from scipy.stats import spearmanr

    chosen = _stratified(sample.labels, PAIRWISE_ROWS)
    features = sample.features[chosen].astype(np.float64)
    features = (features - features.mean(axis=0)) / features.std(axis=0)
    labels = np.eye(sample.classes)[sample.labels[chosen]]
    distances = np.round(pdist(labels, "correlation"), 12)
    return {"parc": 100 * float(spearmanr(pdist(features, "correlation"), distances).statistic)}


def _stratified(labels: NDArray[np.int64], limit: int) -> NDArray[np.int64]:
    """Return the rows to use: all, or the same share of every class, drawn as by the metric."""
    if len(labels) <= limit:
        return np.arange(len(labels))
    generator = np.random.default_rng(0)
    chosen = []
    for label in range(labels.max() + 1):
        rows = np.flatnonzero(labels == label)
        size = max(1, int(len(rows) * limit / len(labels)))
        chosen.append(generator.choice(rows, size, replace=False, shuffle=False))
    return np.sort(np.concatenate(chosen))


def knn(sample: Sample) -> Terms:
    """scikit-learn's neighbours by cosine distance, and a vote that ties leave to the nearest."""
    from sklearn.neighbors import NearestNeighbors

    found = NearestNeighbors(n_neighbors=NEIGHBOURS, metric="cosine").fit(sample.features).kneighbors()[1]
    winners = [Counter(votes).most_common(1)[0][0] for votes in sample.labels[found].tolist()]
    return {"knn": float(np.mean(np.array(winners) == sample.labels))}


def linear_probe(sample: Sample) -> Terms:
    """Cross-validated ridge classifiers over a grid of penalties."""
    from sklearn.linear_model import RidgeClassifier
    from sklearn.model_selection import GridSearchCV, StratifiedKFold

    unit = 0.8 * len(sample.labels) * float(sample.features.var(axis=0, dtype=np.float64).mean())
    penalties = [unit * 10.0**power for power in range(-6, 2)]
    folds = StratifiedKFold(5, shuffle=True, random_state=0)
    search = GridSearchCV(RidgeClassifier(), {"alpha": penalties}, cv=folds, refit=False)
    return {"linear_probe": float(search.fit(sample.features, sample.labels).best_score_)}


REFERENCES: dict[str, Callable[[Sample], Terms]] = {
    function.__name__: function
    for function in (
        cdnv,
        face,
        gbc,
        hscore,
        knn,
        leep,
        linear_probe,
        logme,
        logme_regression,
        nc1,
        ncti,
        nleep,
        parc,
        reg_hscore,
        sfda,
        transrate,
        vci,
    )
}

EXACT: dict[str, Callable[[Sample], Terms]] = {
    "gbc": partial(gbc, solver="covariance_eigh"),
    "ncti": partial(ncti, solver="covariance_eigh"),
}
"""References with an exact PCA, for comparing values where the timed reference has a randomised one."""

DRAWN = frozenset({"linear_probe", "nleep"})
"""References that draw their folds or start differently from the metric, so values agree only roughly."""

LEFT_OUT = frozenset({("nleep", "large")})
"""(metric, size) whose reference would need more than a dozen gigabytes or much longer than a few minutes."""
