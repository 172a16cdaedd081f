"""Transferability metrics: one file each, found through the registry."""
