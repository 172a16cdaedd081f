"""Measured accuracies: how well a checkpoint does on held-out rows after fine-tuning."""
