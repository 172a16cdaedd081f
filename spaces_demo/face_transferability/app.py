"""The app of this Space."""

from hf_transfer_score.evaluate_modules.space import SIZE_LIMIT, build_space

app = build_space("face")

if __name__ == "__main__":
    app.launch(max_file_size=SIZE_LIMIT)
