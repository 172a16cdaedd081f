"""How far the terms of metrics move when the rows of a sample are drawn again: a bootstrap within classes."""

from hf_transfer_score.metrics.resampling.draws import Draws
from hf_transfer_score.metrics.resampling.terms import bootstrap_pool, bootstrap_terms

__all__ = ["Draws", "bootstrap_pool", "bootstrap_terms"]
