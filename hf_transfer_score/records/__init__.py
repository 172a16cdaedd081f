"""Stored results: one record for each number, and where it lies."""
