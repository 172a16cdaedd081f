"""The page of a repository of results: what it is, how to read it, how to add to it."""

from __future__ import annotations

import json

from hf_transfer_score.results.store import SNAPSHOT

CARD = "README.md"

TEMPLATE = """\
---
pretty_name: {pretty_name}
license: apache-2.0
tags:
- hf-transfer-score
- transferability
- model-selection
configs:
- config_name: default
  data_files:
  - split: train
    path: {snapshot}
---

# {name}

Which checkpoint should I fine-tune? Each row is what one transferability metric says about one model on one labelled
sample: its raw terms, or why there are none. Some rows are accuracies that were measured after fine-tuning
(`metric_kind` is `truth`), by which the metrics can be judged. The rows were made with `hf-transfer-score`.

A score is no accuracy. It is read off the features of one forward pass, and says something only beside the scores of
other models on the same sample, that is on the same `dataset_fingerprint`.

## Read it

```python
from datasets import load_dataset

rows = load_dataset("{name}", split="train")
```

`records/<owner>/<name>/<identity>.json` is the source, one file for each number, with all that it depends on: the
commit of the model and of the dataset, the options of sampling, the layer and pooling, the version of the metric. The
name of a file is a hash of these. `{snapshot}` holds the same as one table; `path` and `stamp` say which file a row is
of, and columns such as `terms` hold JSON.

```bash
pip install hf-transfer-score
hf-transfer-score leaderboard --results {name}   # look at it
hf-transfer-score pull {name} --into ./results   # take a copy along
```

## Add to it

```bash
hf-transfer-score rank DATASET --models MODEL MODEL --save ./results
hf-transfer-score publish ./results --to {name}               # with write access
hf-transfer-score publish ./results --to {name} --create-pr   # without
```

Records that are there already stay as they are, unless the new ones were made later. After pull requests were merged,
`hf-transfer-score merge --into {name}` brings the table in step with the files, and `hf-transfer-score validate {name}`
says whether everything is as it should be.
"""


def dataset_card(name: str) -> str:
    """Return the card of a repository of results.

    Args:
        name: OWNER/NAME.
    """
    title = f"Transferability of checkpoints: {name.rpartition('/')[2]}"
    return TEMPLATE.format(name=name, pretty_name=json.dumps(title), snapshot=SNAPSHOT)
