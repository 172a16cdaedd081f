"""Charts of rankings: one specification for each, from which images, pages and notebooks are made."""
