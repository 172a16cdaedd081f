"""Requests: models that somebody wants scored on a dataset, waiting for a worker."""
