"""Measured truth: what fine-tuning a checkpoint really gives on held-out rows."""
