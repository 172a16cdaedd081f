"""Features of checkpoints: read from files."""
