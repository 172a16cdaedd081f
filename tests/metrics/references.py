"""FaCe, NCTI and LogME written a second time, slowly and from the definitions, with nothing shared with the package."""

import math

import numpy as np
from sklearn.decomposition import PCA
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis


def face_variance_collapse(features: np.ndarray, labels: np.ndarray) -> float:
    """-trace(Σ_W Σ_B†) / K with full (D, D) matrices and classes weighted equally."""
    groups = [features[labels == label] for label in np.unique(labels)]
    within = np.mean([np.cov(group.T, bias=True) for group in groups], axis=0)
    means = np.array([group.mean(axis=0) for group in groups])
    between = np.cov(means.T, bias=True)
    return -float(np.trace(within @ np.linalg.pinv(between, rcond=1e-10))) / len(groups)


def face_fairness(
    features: np.ndarray, labels: np.ndarray, components: int, temperature: float, *, shrunk: bool = False
) -> float:
    """Gaussians in PCA space, class by class and pair by pair: one round variance, or shrunk covariances."""
    space = PCA(components, svd_solver="full").fit_transform(features)
    groups = [space[labels == label] for label in np.unique(labels)]
    width = space.shape[1]
    variance = np.mean([np.maximum(group.var(axis=0), 1e-4).mean() for group in groups])
    covariances = [variance * np.eye(width) for _ in groups]
    if shrunk:
        scatters = [len(group) * np.cov(group.T, bias=True).reshape(width, width) for group in groups]
        pooled = sum(scatters) / (len(space) - len(groups))
        pooled = 0.9 * pooled + 0.1 * np.trace(pooled) / width * np.eye(width)
        covariances = [
            (scatter + width / 4 * pooled) / (len(group) + width / 4) + 1e-4 * np.eye(width)
            for scatter, group in zip(scatters, groups, strict=True)
        ]
    entropies = []
    for i, group in enumerate(groups):
        overlaps = []
        for j, other in enumerate(groups):
            if i != j:
                average = (covariances[i] + covariances[j]) / 2
                gap = group.mean(axis=0) - other.mean(axis=0)
                parts = [math.log(np.linalg.det(one)) for one in (average, covariances[i], covariances[j])]
                distance = gap @ np.linalg.inv(average) @ gap / 8 + (parts[0] - (parts[1] + parts[2]) / 2) / 2
                overlaps.append(math.exp(-distance) / temperature)
        weights = [math.exp(overlap - max(overlaps)) for overlap in overlaps]
        shares = [weight / sum(weights) for weight in weights]
        entropies.append(-sum(share * math.log(share) for share in shares if share > 0))
    return float(np.mean(entropies)) / math.log(len(groups) - 1)


def ncti(features: np.ndarray, labels: np.ndarray, components: int) -> dict[str, float]:
    """PCA, scikit-learn's discriminant analysis, and nuclear norms from full singular value decompositions."""
    pca = PCA(components, svd_solver="full").fit(features)
    space = pca.transform(features)
    shrinkage = max(math.exp(-float(pca.explained_variance_[:32].sum())), 1e-10)
    analysis = LinearDiscriminantAnalysis(solver="eigen", shrinkage=shrinkage).fit(space, labels)
    posterior = np.exp(_log_posterior(space, labels, 0.0 if shrinkage == 1e-10 else shrinkage))
    discriminant = _discriminant(space, labels, 0.0 if shrinkage == 1e-10 else shrinkage)
    columns = {label: column for column, label in enumerate(np.unique(labels))}
    truth = np.array([columns[label] for label in labels])
    assert (analysis.predict(space) == np.unique(labels)[posterior.argmax(axis=1)]).mean() > 0.97
    norms = [np.linalg.norm(posterior[labels == label], "nuc") for label in columns]
    return {
        "seli": float(np.linalg.norm(discriminant - discriminant.mean(axis=0), "nuc")),
        "ncc": float(posterior[np.arange(len(truth)), truth].mean()),
        "vc": math.log(sum(norms)),
    }


def _covariances(space: np.ndarray, labels: np.ndarray, shrinkage: float) -> tuple[np.ndarray, np.ndarray]:
    """Within-class and total covariance, divisor n, both shrunk."""
    width = space.shape[1]
    within = np.zeros((width, width))
    for label in np.unique(labels):
        group = space[labels == label]
        within += len(group) / len(space) * np.cov(group.T, bias=True)
    total = np.cov(space.T, bias=True)
    return tuple(
        (1 - shrinkage) * matrix + shrinkage * np.trace(matrix) / width * np.eye(width) for matrix in (within, total)
    )


def _discriminant(space: np.ndarray, labels: np.ndarray, shrinkage: float) -> np.ndarray:
    from scipy.linalg import eigh

    within, total = _covariances(space, labels, shrinkage)
    values, vectors = eigh(total - within, within)
    count = min(len(np.unique(labels)) - 1, space.shape[1])
    if shrinkage == 0:  # the solver without shrinkage drops directions of small singular value, as scikit-learn's does
        count = min(count, int((np.sqrt(np.maximum(values, 0)) > 1e-4 * np.sqrt(values[-1])).sum()))
    return space @ vectors[:, ::-1][:, :count]


def _log_posterior(space: np.ndarray, labels: np.ndarray, shrinkage: float) -> np.ndarray:
    from scipy.special import logsumexp
    from scipy.stats import multivariate_normal

    within, _ = _covariances(space, labels, shrinkage)
    logs = np.column_stack(
        [
            multivariate_normal(space[labels == label].mean(axis=0), within).logpdf(space)
            + math.log((labels == label).mean())
            for label in np.unique(labels)
        ]
    )
    return logs - logsumexp(logs, axis=1, keepdims=True)


def log_evidence(features: np.ndarray, target: np.ndarray, alpha: float, beta: float) -> float:
    """Log density of the target per row under N(0, F Fᵀ / alpha + I / beta), by an (N, N) covariance."""
    from scipy.stats import multivariate_normal

    covariance = features @ features.T / alpha + np.eye(len(target)) / beta
    return float(multivariate_normal(np.zeros(len(target)), covariance).logpdf(target)) / len(target)


def logme(features: np.ndarray, labels: np.ndarray) -> float:
    """The largest log evidence of each one-versus-rest target over both precisions, averaged over classes."""
    from scipy.optimize import minimize

    found = []
    for label in np.unique(labels):
        target = (labels == label).astype(np.float64)
        starts = [np.array([alpha, beta]) for alpha in (-2.0, 1.0, 4.0) for beta in (0.0, 3.0)]
        values = [
            minimize(
                lambda logs, target=target: -log_evidence(features, target, *np.exp(logs)),
                x0=start,
                method="L-BFGS-B",
                bounds=[(-12.0, 12.0), (-12.0, 12.0)],
                options={"ftol": 1e-14, "gtol": 1e-9},
            ).fun
            for start in starts
        ]
        found.append(-min(values))
    return float(np.mean(found))
