"""The chart of a ranking: rank against size, with rank ranges, tie groups and the best rank up to each size."""

from __future__ import annotations

from typing import Any

from hf_transfer_score.drawing.layer_chart import layer_chart
from hf_transfer_score.drawing.look import SOFT, data_of, title_of
from hf_transfer_score.drawing.points import Picture
from hf_transfer_score.drawing.scatter import scatter

WIDTH, ROW, LEAST_HEIGHT, MOST_HEIGHT = 980, 19, 360, 1200


def rank_chart(picture: Picture) -> Any:
    """Return the chart of a ranking, for a notebook, a page or a file; of ranked layers, the chart of these.

    Pointing at a model shows what is known of it; dragging moves, the wheel with Ctrl zooms.
    """
    import altair as alt

    cloud = picture.cloud
    if picture.lines is not None:
        chart = layer_chart(picture.lines, WIDTH)
    elif cloud is not None:
        chart = scatter(cloud, WIDTH, min(MOST_HEIGHT, max(LEAST_HEIGHT, round(ROW * cloud.y.high))))
    else:
        said = alt.Chart(data_of([{"text": "No model could be ranked."}])).mark_text(size=17, color=SOFT)
        chart = alt.layer(said.encode(text="text:N")).properties(width=WIDTH, height=LEAST_HEIGHT)
    words = f"{picture.title}: {picture.subtitle}"
    return chart.properties(title=title_of(picture.title, (picture.subtitle, picture.remark), WIDTH), description=words)
