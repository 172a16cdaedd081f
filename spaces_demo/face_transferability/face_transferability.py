"""FaCe (variance collapse and class fairness) as a module of `evaluate`."""

import evaluate

import hf_transfer_score.evaluate_modules.base as base

_DESCRIPTION = """
Predicts from the features of one forward pass how well a pretrained model will do after fine-tuning on your labelled
dataset, without fine-tuning it. FaCe adds two measures of neural collapse: variance collapse, how small the spread
within the classes is compared with the spread between them, and class fairness, how evenly each class overlaps others.
Compare models on the same samples; a single value says little.
"""

_KWARGS_DESCRIPTION = """
Args:
    predictions: (N, D), the features, one row per sample: an array, a tensor, a list of rows, or a column of lists or
        arrays (Arrow, pandas, datasets). `features` is another name.
    references: (N,), the class of each sample as an integer.
    weighting: "class" weights classes equally in the variance collapse, "sample" by their rows.
    covariance: shape of the class Gaussians: "shrunk", "full", "pooled_spherical", "spherical" or "diagonal".
    temperature: of the softmax over a class's overlaps, 0.05.
    include_self: whether a class's overlap with itself is included, False.
    variance_floor: smallest variance of a class along a component, 1e-4.
    pca: components for the Gaussians: "auto" for min(64, D, N // 5), a number, or "none".

Returns:
    face: 1 / (1 - variance_collapse) + class_fairness, between 0 and 2, higher is better.
    variance_collapse: 0 at full collapse, negative otherwise.
    class_fairness: between 0 and 1, which is perfectly even.

Examples:
    >>> import evaluate, numpy, hf_transfer_score
    >>> paths = hf_transfer_score.register()
    >>> face = evaluate.load("face_transferability")
    >>> classes = numpy.repeat([0, 1, 2], 20)
    >>> features = numpy.random.default_rng(0).normal(size=(60, 8)) + 2 * numpy.eye(8)[classes]
    >>> results = face.compute(predictions=features, references=classes)
    >>> sorted(results)
    ['class_fairness', 'face', 'variance_collapse']
    >>> results = face.compute(predictions=features, references=classes, temperature=0.1)
"""

_CITATION = """
@article{ding2023unleashing,
  title   = {Unleashing the power of Neural Collapse for Transferability Estimation},
  author  = {Ding, Yuhe and Jiang, Bo and Sheng, Lijun and Zheng, Aihua and Liang, Jian},
  journal = {arXiv preprint arXiv:2310.05754},
  year    = {2023},
}
"""

_PAPER = "https://arxiv.org/abs/2310.05754"


class FaceTransferability(base.TransferabilityModule):
    """Variance collapse and class fairness of labelled features."""

    metric_name = "face"

    def _info(self) -> evaluate.MetricInfo:
        return base.module_info(
            description=_DESCRIPTION, citation=_CITATION, inputs_description=_KWARGS_DESCRIPTION, paper=_PAPER
        )
