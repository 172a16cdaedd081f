"""The formula of each metric, for the page of metrics."""

from __future__ import annotations

FORMULAS = {
    "cdnv": """\
cdnv = mean over pairs i < j of  (σ²_i + σ²_j) / (2 ‖μ_i - μ_j‖²)
σ²_k = mean squared distance of the rows of class k from μ_k""",
    "downloads": "downloads = the Hub's download count",
    "face": """\
variance_collapse = -tr(Σ_W Σ_B†) / K                         classes weigh the same
class_fairness    = mean over i of  H(p_i) / ln(K - 1)
p_i = softmax over j ≠ i of  BC_ij / t                         t = 0.05
BC_ij = Bhattacharyya coefficient of the Gaussians of classes i and j
H(p) = -Σ_j p_j ln p_j""",
    "feature_width": "feature_width = D",
    "gbc": """\
gbc = -Σ over i ≠ j of  exp(-B_ij)
B_ij = ⅛ (μ_i - μ_j)ᵀ Σ⁻¹ (μ_i - μ_j) + ½ ln(det Σ / √(det Σ_i det Σ_j)),   Σ = (Σ_i + Σ_j) / 2""",
    "hscore": "hscore = tr(Σ_T† Σ_B)",
    "knn": "knn = share of rows whose k nearest other rows vote for their class",
    "leep": """\
leep = mean over rows n of  ln Σ_z P(y_n | z) θ_nz             θ_nz = probability of source class z
P(y | z) = Σ over rows of class y of θ_nz / Σ over all rows of θ_nz""",
    "linear_probe": """\
linear_probe = share of rows n whose class scores highest in  f_-n(x_n)
f_-n = ridge regression of one-hot labels with an intercept, fitted without row n""",
    "logme": """\
logme = mean over classes k of  (1/N) ln p(y_k | H)            y_k = 1 in class k, else 0
ln p(y | H) = ½ [D ln α + N ln β - β ‖y - Hm‖² - α ‖m‖² - ln det(αI + βHᵀH) - N ln 2π]
m = β (αI + βHᵀH)⁻¹ Hᵀy,   at the α and β where the evidence is largest""",
    "logme_regression": "logme_regression = mean over target columns y of  (1/N) ln p(y | H), as in logme",
    "nc1": "nc1 = tr(Σ_W Σ_B†) / K",
    "ncti": """\
seli = ‖Z‖_*                                                   Z = centred rows after the discriminant analysis
ncc  = mean over rows of  p(y_n | x_n)
vc   = ln Σ_k ‖P_k‖_*                                          P_k = posteriors (n_k, K) of the rows of class k
‖A‖_* = sum of the singular values of A""",
    "nleep": "nleep = leep, with the components of a Gaussian mixture for z and their posteriors for θ",
    "parameter_count": "parameter_count = parameters without the checkpoint's own head",
    "parc": """\
parc = 100 · Spearman correlation over pairs of rows of  d_H and d_Y
d_H = 1 - Pearson correlation of two rows of z-scored features
d_Y = 1 - Pearson correlation of two rows of one-hot labels""",
    "random_order": "random_order = a number in [0, 1) that follows from the seed and the model's name",
    "reg_hscore": """\
reg_hscore = (1 - a) tr(Σ_a⁻¹ Σ_B)
Σ_a = (1 - a) Σ_T + a (tr Σ_T / D) I                           a by Ledoit and Wolf""",
    "sfda": """\
sfda = mean over rows of  p(y_n | x'_n), by a discriminant analysis of the rows x'
x'_n = w_n x_n + (1 - w_n) mean of the other classes' means    w_n = how sure a first analysis is of row n""",
    "transrate": """\
transrate = R(F) - mean over classes of R(F_k)
R(A) = ½ ln det(I + AᵀA / (m ε))                               m = rows of A; F centred""",
    "vci": "vci = 1 - tr(Σ_T† Σ_B) / rank Σ_B",
}
"""By metric name; the page explains the letters at its top."""
