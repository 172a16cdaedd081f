"""Features of checkpoints: extracted, cached, and read from files."""
