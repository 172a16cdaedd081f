"""Which checkpoint: plan, run and report a ranking of candidates on a dataset."""
