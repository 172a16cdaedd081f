"""The metrics as modules of the `evaluate` library."""
