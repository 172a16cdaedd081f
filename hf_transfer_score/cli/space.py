"""`space push`: the leaderboard, or a metric, on the Hub."""

from __future__ import annotations

from hf_transfer_score.cli.naming import with_flags
from hf_transfer_score.cli.output import write
from hf_transfer_score.errors import OptionError


def space_push(
    space: str,
    /,
    *,
    results: str | None = None,
    requests: str | None = None,
    metric: str | None = None,
    private: bool = False,
    create_pr: bool = False,
) -> int:
    """Put the leaderboard, or a metric, on the Hub as a Space.

    The Space is made if it is not there yet, and gets the app, its settings and this very version of the package,
    without torch or transformers. Pushing again brings it up to date; what you added to its files stays, as long as it
    is not one of these.

    With `--requests` visitors who are signed in can ask for models to be scored, which `worker` does; the Space then
    needs a token that may write there, as its secret HF_TOKEN.

    With `--metric` it is the Space of that metric instead: its card, the module that `evaluate.load("OWNER/NAME")`
    loads, and an app that scores an uploaded file.

    ```bash
    hf-transfer-score space push owner/leaderboard --results owner/results
    hf-transfer-score space push owner/face_transferability --metric face
    ```

    Args:
        space: OWNER/NAME of the Space.
        results: dataset repository of the records, as `results publish` makes it; without it the Space shows the
            records that ship with the package.
        requests: dataset repository of requests for scoring.
        metric: the Space of this metric, face or ncti, not the leaderboard.
        private: make the Space private, if it is not there yet.
        create_pr: propose the files as a pull request.
    """
    if metric is None:
        from hf_transfer_score.leaderboard.space import push_space

        pushed = push_space(space, results=results, requests=requests, private=private, create_pr=create_pr)
    else:
        from hf_transfer_score.evaluate_modules.install import push_metric_space

        if results is not None or requests is not None:
            raise OptionError("`results` and `requests` are for the leaderboard: the Space of a metric has no records.")
        pushed = push_metric_space(space, metric, private=private, create_pr=create_pr)
    write(f"{'Proposed' if create_pr else 'Pushed'} {pushed.files} files: {pushed.address}\n")
    write("".join(f"{with_flags(note)}\n" for note in pushed.notes))
    return 0
