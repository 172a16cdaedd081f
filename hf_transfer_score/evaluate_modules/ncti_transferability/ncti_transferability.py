"""NCTI (neural-collapse transferability index) as a module of `evaluate`."""

import evaluate

import hf_transfer_score.evaluate_modules.base as base

_DESCRIPTION = """
Predicts from the features of one forward pass how well a pretrained model will do after fine-tuning on your labelled
dataset, without fine-tuning it. NCTI measures in three terms how far the features are from neural collapse there:
how far apart a discriminant analysis can move the classes, how sure its posterior is of the true class, and how much
of the spread within the classes is left. Compare models on the same samples; a single value says little.
"""

_KWARGS_DESCRIPTION = """
Args:
    predictions: (N, D), the features, one row per sample: an array, a tensor, a list of rows, or a column of lists or
        arrays (Arrow, pandas, datasets). `features` is another name.
    references: (N,), the class of each sample as an integer.
    pca: principal components kept: "auto" for min(64, D, N // 5), 64 as in the published numbers, or "none".

Returns:
    ncti: one number from the three terms that needs no other model, between 0 and 3, higher is better.
    seli: nuclear norm of the centred discriminant features, higher is better.
    ncc: mean posterior of the true class, between 0 and 1, higher is better.
    vc: log of the summed nuclear norms of the classes' posteriors, lower is better.

Examples:
    >>> import evaluate, numpy, hf_transfer_score
    >>> paths = hf_transfer_score.register()
    >>> ncti = evaluate.load("ncti_transferability")
    >>> classes = numpy.repeat([0, 1, 2], 20)
    >>> features = numpy.random.default_rng(0).normal(size=(60, 8)) + 2 * numpy.eye(8)[classes]
    >>> results = ncti.compute(predictions=features, references=classes)
    >>> sorted(results)
    ['ncc', 'ncti', 'seli', 'vc']
    >>> results = ncti.compute(predictions=features, references=classes, pca=4)
"""

_CITATION = """
@inproceedings{wang2023far,
  title     = {How Far Pre-trained Models Are from Neural Collapse on the Target Dataset Informs their Transferability},
  author    = {Wang, Zijian and Luo, Yadan and Zheng, Liang and Huang, Zi and Baktashmotlagh, Mahsa},
  booktitle = {Proceedings of the IEEE/CVF International Conference on Computer Vision},
  year      = {2023},
}
"""

_PAPER = (
    "https://openaccess.thecvf.com/content/ICCV2023/html/"
    "Wang_How_Far_Pre-trained_Models_Are_from_Neural_Collapse_on_the_ICCV_2023_paper.html"
)
_CODE = "https://github.com/BUserName/NCTI"


class NctiTransferability(base.TransferabilityModule):
    """Three terms of neural collapse of labelled features."""

    metric_name = "ncti"

    def _info(self) -> evaluate.MetricInfo:
        return base.module_info(
            description=_DESCRIPTION,
            citation=_CITATION,
            inputs_description=_KWARGS_DESCRIPTION,
            paper=_PAPER,
            codes=[_CODE],
        )
