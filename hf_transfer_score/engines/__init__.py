"""Where candidates run: one protocol, one file for each engine."""
