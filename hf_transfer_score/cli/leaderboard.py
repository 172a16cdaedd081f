"""`leaderboard` and `space push`: stored results as a web page, here and on the Hub."""

from __future__ import annotations

import os
import sys
import threading
from contextlib import suppress
from importlib.util import find_spec
from typing import Annotated

from cyclopts import Parameter, validators

from hf_transfer_score.cli.flags import converted, seconds
from hf_transfer_score.cli.naming import with_flags
from hf_transfer_score.cli.output import write
from hf_transfer_score.errors import OptionError


def leaderboard(
    *,
    results: str | None = None,
    requests: str | None = None,
    host: str | None = None,
    port: Annotated[int | None, Parameter(validator=validators.Number(gte=1, lte=65_535))] = None,
    open: bool = False,  # noqa: A002  # the name of the flag
    poll: Annotated[float, Parameter(converter=converted(seconds(1)), n_tokens=1)] = 30.0,
) -> int:
    """Show stored results as a web page.

    It has a board for each task and dataset, charts, which metric to trust, models side by side, and scoring of your
    own features. It follows the records: new ones appear without a restart. It needs
    `pip install hf-transfer-score[space]`.

    A place is a folder, as `rank --save FOLDER` leaves it, or a dataset repository on the Hub as OWNER/NAME.

    ```bash
    hf-transfer-score leaderboard --open
    hf-transfer-score leaderboard --results owner/results --requests owner/requests
    ```

    Args:
        results: the place of the records; without it those that ship with the package.
        requests: the place where visitors' requests go; without it nobody may ask.
        host: address to listen on; without it 127.0.0.1, this machine alone.
        port: without it the first free one from 7860.
        open: show it in a browser.
        poll: seconds between looks for new records.
    """
    if find_spec("gradio") is None:
        raise OptionError("The leaderboard needs gradio>=6.31: pip install 'hf-transfer-score[space]'.")
    os.environ.setdefault("GRADIO_ANALYTICS_ENABLED", "False")
    from hf_transfer_score.leaderboard.starting import build

    app = build(results, requests, poll_seconds=poll)
    from hf_transfer_score.leaderboard.pages.app import serve

    address = serve(app, host=host, port=port, in_browser=open)
    write(f"Leaderboard of {results or 'the records of the package'}: {address}\nCtrl-C stops it.\n")
    sys.stdout.flush()
    with suppress(KeyboardInterrupt):  # or SIGTERM: it is how a service is ended, and no failure
        threading.Event().wait()
    app.close(verbose=False)
    return 0


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
