"""Features of a sample, by an extraction into a cache."""

from hf_transfer_score.features.cache import FeatureCache
from hf_transfer_score.features.extract import ExtractOptions, extract


def extracted(backbone, sample, folder, *, report=lambda _: None, converted=None, **options):
    """Return what the cache holds then, and the summary of the extraction."""
    cache = FeatureCache(folder, 10**9)
    writer = cache.writer("key", sample.rows)
    options = ExtractOptions(**options)
    about = extract(backbone, sample, writer, options=options, report=report, converted=converted)
    writer.finish({})
    return cache.get("key"), about


def features(backbone, sample, folder, **options):
    """Return the features of the last layer, and the summary of the extraction."""
    found, about = extracted(backbone, sample, folder, **options)
    return found.features["last"], about
