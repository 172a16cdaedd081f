"""From a dataset to the labelled sample that serves every candidate."""
