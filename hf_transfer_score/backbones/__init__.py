"""Checkpoints as feature extractors: one kind per library and modality, found through an entry-point group."""
