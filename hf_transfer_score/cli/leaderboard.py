"""`leaderboard` and `space push`: stored results as a web page, here and on the Hub."""

import os
import sys
import threading
from contextlib import suppress
from dataclasses import asdict
from importlib.util import find_spec
from typing import Annotated

from cyclopts import Parameter, validators

from hf_transfer_score.cli.flags import Json, converted, seconds
from hf_transfer_score.cli.naming import with_flags
from hf_transfer_score.cli.output import Output, write
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

    It has a board for each task and dataset, charts, a page on which metric to trust, a comparison of models, and
    scoring of your own features. New records appear without a restart. It needs `pip install hf-transfer-score[space]`.

    Results are a folder, as `rank --save FOLDER` writes it, or a dataset repository on the Hub, OWNER/NAME.

    ```bash
    hf-transfer-score leaderboard --open
    hf-transfer-score leaderboard --results owner/results --requests owner/requests
    ```

    Args:
        results: the records to show; by default those that ship with the package.
        requests: where visitors' requests are stored; by default visitors cannot send requests.
        host: address to listen on; by default 127.0.0.1, this computer only.
        port: port to listen on; by default the first free one from 7860.
        open: open it in a browser.
        poll: seconds between checks for new records.
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
    with suppress(KeyboardInterrupt):  # or SIGTERM, the normal way to end a service
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
    output: Json = Output(),
) -> int:
    """Publish the leaderboard, or a metric, as a Space on the Hub.

    The Space is created if needed, and gets the app, its settings and this version of the package, without torch or
    transformers. Pushing again updates these files; other files in the Space stay.

    With `--requests`, visitors who are signed in can ask for models to be scored by a `worker`. The Space then needs a
    token with write access, as its secret HF_TOKEN.

    With `--metric` it is the Space of a metric instead: its card, the module that `evaluate.load("OWNER/NAME")` loads,
    and an app that scores an uploaded file.

    ```bash
    hf-transfer-score space push owner/leaderboard --results owner/results
    hf-transfer-score space push owner/face_transferability --metric face
    ```

    Args:
        space: OWNER/NAME of the Space.
        results: dataset repository of the records, as `results publish` makes it; by default the Space shows the
            records that ship with the package.
        requests: dataset repository of requests for scoring.
        metric: publish the Space of this metric, face or ncti, instead of the leaderboard.
        private: make a new Space private.
        create_pr: propose the files as a pull request.
    """
    from hf_transfer_score.evaluate_modules.install import push_metric_space
    from hf_transfer_score.leaderboard.space import push_space, space_place

    if metric is not None and (results is not None or requests is not None):
        raise OptionError("`results` and `requests` are for the leaderboard; the Space of a metric has no records.")
    place = space_place(space, private=private, create_pr=create_pr)
    if metric is None:
        pushed = push_space(place, results=results, requests=requests)
    else:
        pushed = push_metric_space(place, metric)
    lines = [f"{'Proposed' if create_pr else 'Pushed'} {pushed.files} files: {pushed.address}", *pushed.notes]
    output.show(lambda: asdict(pushed), lambda _: "".join(f"{with_flags(one)}\n" for one in lines))
    return 0
