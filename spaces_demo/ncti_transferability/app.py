"""The app of this Space."""

from hf_transfer_score.evaluate_modules.space import run_space

if __name__ == "__main__":
    run_space("ncti")
