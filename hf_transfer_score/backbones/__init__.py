"""Checkpoints as feature extractors: one kind a library and modality, found through an entry-point group."""
