"""Write the generated pages of docs/ from the metrics, the commands and the records; --check only compares."""

from __future__ import annotations

import argparse
import difflib
import inspect
import json
import re
import sys
from collections.abc import Iterable, Mapping
from functools import partial, reduce
from pathlib import Path

from cyclopts import App

from hf_transfer_score.cli.app import COMMANDS, PROGRAM, WORDS, build_app
from hf_transfer_score.cli.metrics import ARROWS, MetricGuide, metric_guide, option_text, setting
from hf_transfer_score.cli.naming import shown_default
from hf_transfer_score.metrics.registry import NEED_REASONS, all_metrics

FOLDER = Path(__file__).parent
sys.path.insert(0, str(FOLDER))  # the modules beside this file are not a package
from badges import badges  # noqa: E402
from formulas import FORMULAS  # noqa: E402
from pictures import picture, words  # noqa: E402
from printed import PRINTED, schema  # noqa: E402
from record_schema import json_schema  # noqa: E402
from signatures import signatures  # noqa: E402

NOTICE = "<!-- Written by docs/generate.py; change the docstrings, then run it. -->"
DIFFERENCE_LINES, DIFFERENCE_WIDTH = 30, 200
EVIDENCE = re.compile(r"(?<=<!-- evidence: start -->\n)(.*?)(?=<!-- evidence: end -->)", re.DOTALL)
EVIDENCE_LINES = 2

METRICS_INTRODUCTION = """\
# Metrics

What each metric computes, what it needs, and its options. Every metric reads the features of a labelled sample, one
row per example, from one forward pass of a checkpoint. It returns named raw **terms** and a **headline**: one number
that needs no pool, where higher is better, comparable only between models on the same sample. A pool of models gets
**pool scores** and ranks. ↑ marks a term where higher is better, ↓ one where lower is better.

In the formulas, features H are (N, D), K is the number of classes, n_k the rows of class k; Σ_W, Σ_B and Σ_T are the
covariances within classes, between class means, and of all rows.

The pictures show what a metric says about toy sets of two features and three classes, and how it ranks them. `compact`
is what neural collapse looks like; in `in two parts` each class has two clusters on opposite sides, which neighbours
tell apart and class means do not. For `logme_regression` the colours are the lower, middle and upper third of a target.

- **Scaled terms depend on the pool.** FaCe and NCTI scale each term by its smallest and largest value over the pool,
  so one more model changes every score. Raw terms do not change; keep those.
- **Uninformative terms are flagged.** If the range of a term over the pool is below 1e-3 (relative to its size,
  absolute for terms in [0, 1]), it counts as 0 for all models.
- **Missing inputs are reported.** A metric that lacks what it needs is skipped with the reason.
- **Baselines are there to be beaten.** Do not believe a metric on a pool where it does not beat parameter count,
  feature width, downloads and a random order.

Set options with `--option face.temperature=0.1` on the command line and `get_metric("face", temperature=0.1)` in
Python.
"""

SCHEMAS = ",\n  ".join(f"[{name.replace('-plan', ' --dry-run')}]({name}.schema.json)" for name in PRINTED)
CLI_INTRODUCTION = f"""\
# Command line

All commands and their flags. `{PROGRAM}` and `python -m hf_transfer_score` are the same; `{PROGRAM} COMMAND --help`
shows the flags that most people need, `--help-all` every one.

- **Output.** Tables fit the terminal, or `COLUMNS` if it is set: a table that is too wide is printed in blocks, and
  long names are shortened and listed in full below. A piped table of scores stays whole, one line per model. `--json`
  prints an answer in full, for programs; all commands have it but `leaderboard` and `worker`, which run until they are
  stopped. What they print has JSON Schemas:
  {SCHEMAS}. Stored [records](record.schema.json) have one too.
- **Errors** go to the error stream as one line that starts with `error:`. `--traceback`, anywhere on the command line,
  shows where it comes from. A misspelt command or flag is answered with the nearest match.
- **Configuration.** `--config FILE` reads the flags of any command from a YAML file, under their names without leading
  hyphens (`dataset: example`, `models: [a/b, c/d]`, `max-samples: 500`). Flags that you type take precedence, and the
  file is checked as if you had typed it. `--save-config FILE` writes what you typed to such a file.
  [Environment variables](environment.md) have their own page.
- **Completion.** `{PROGRAM} --install-completion` sets up completion for bash, zsh or fish.
- **Hub command.** `hf extensions install OWNER/hf-transfer-score` installs it as `hf transfer-score`, from a public
  GitHub repository of that name, into its own environment. `hf` stops this after five minutes, which is too short for
  PyTorch's GPU libraries on a slow line; then install the package with pip.
- **Exit status.** 0: something was scored. 1: nothing could be scored. 2: wrong usage, or an error that concerns the
  whole run. 129, 130 and 143: ended by SIGHUP, Ctrl-C or SIGTERM; finished work is kept. 141: the reader of the output
  stopped reading.
"""

SCORE_FORMATS = """\
### Output for programs

`--json` prints everything that `rank_features` returns in Python, with full precision. `answer` says what to do, and
`models` lists the models in order, each with `name`, `rank`, `rank_range`, `best_probability`, `points_below_best` and
`expected_accuracy` (`value`, `low`, `high`), `probe_accuracy`, `why` and `parameters`. `pool` holds each model's
`status`, `reason` and `results` (by metric: `terms`, `headline`, `parameters`, `warnings`, `reason`, and for `face`
`overlap`), and `pools` each metric's `scores`, `ranks`, `scaled` terms and `flags`. `headline` names the
metrics that `mean_ranks` averages. For one file it prints only that model. Numbers that JSON cannot express, such as
infinity, are `null`.

`--csv` prints one row per model with the columns `model`, `status`, `rank`, those of the forecast (`best_probability`,
`points_below_best`, `points_low`, `points_high`, `expected_accuracy`, `accuracy_low`, `accuracy_high`,
`probe_accuracy`, `probe_low`, `probe_high`), `mean_rank`, `METRIC.rank`, `METRIC.score`, with `--terms` also
`METRIC.term.NAME`, and `reason`; notes go to the error stream. For one file it prints one row per term.
"""

RANK_FORMATS = """\
### What it prints

The answer and the table go to the output stream; the plan, the progress (on a terminal) and notes go to the error
stream. `best` is the chance to be the best after fine-tuning, `points below` the points of accuracy that the model
would then be behind the best, and `range` its place; both intervals hold in 80% of the cases. `probe` is the accuracy
of a linear classifier on the features with its 95% interval. `--terms` adds each metric's ranks, scores and terms, the
places by parameters, feature width and downloads alone, and the speed on this machine: examples per second in batches
(`per s`) and milliseconds for one example (`ms`). With `--headline`, `rank` is the place by the mean rank of these
metrics (`mean`), models that cannot be distinguished share a rank and a letter under `tie`, and `range` comes from the
bootstrap.

`--json` prints everything that `rank` returns in Python. `answer` and `models` are as for `score`. `sample` says what
was drawn. `pool` holds each model's `status` (`ok`, `failed`, `interrupted`), `kind` and `reason` of a failure,
`commit`, `library`, `parameters`, `extraction` (device, dtype, seconds, the pooling used and the like, and
`measured_here` with `examples_per_second`, `example_milliseconds` and `machine` if they were measured) and `scores`.
`pools` is as for `score`. `confidence` holds `ranks`, `ranges`, `groups`, `first` (how often a model is first) and
`separated` (pairs that can be distinguished), `intervals` those of the raw terms, and `level` the share that ranges
and intervals cover.

`--csv` prints one row per model with the columns `model`, `status`, `rank`, `rank_low`, `rank_high`, those of the
forecast as for `score`, `tie_group`, `mean_rank`, `commit`, `library`, `parameters`, `width`, `examples_per_second`,
`example_milliseconds`, `machine`, `seconds`, `license`, `downloads`, `METRIC.rank`, `METRIC.score`, with `--terms`
also `METRIC.term.NAME`, and the `kind` and `reason` of a failure.

`--save FOLDER` writes `ranking.json` and one record per model and metric to `FOLDER/records`. `--plot FILE` draws the
order with its ranges against the number of parameters, with `--across throughput` against speed, and with `--layer
all` one line per model over its layers.
"""

FORMATS = {"rank": RANK_FORMATS, "score": SCORE_FORMATS}


def metrics_page() -> str:
    """Return the reference of the built-in metrics."""
    guides = [
        metric_guide(one) for one in all_metrics().values() if one.compute.__module__.startswith("hf_transfer_score.")
    ]
    rows = [
        (
            f"[`{guide.name}`](#{guide.name})",
            guide.title,
            _terms(guide),
            _needs(guide),
            guide.pool_rule,
            _set(guide),
        )
        for guide in guides
    ]
    table = _table(("metric", "title", "raw terms", "needs", "pool score", "default set"), rows)
    return "\n".join([NOTICE, "", METRICS_INTRODUCTION, table, *(_metric_section(guide) for guide in guides)])


def _metric_section(guide: MetricGuide) -> str:
    needs = "; ".join(NEED_REASONS[need].removeprefix("needs ") for need in guide.needs) or "features only"
    terms = _table(
        ("raw term", "better", "what it is"),
        [(f"`{term.name}`", f"{ARROWS[term.direction]}", term.description) for term in guide.terms],
    )
    options = _table(
        ("option", "default", "meaning"),
        [(f"`{one.name}`", f"`{setting(one.default)}`", option_text(one)) for one in guide.options],
    )
    return "\n".join(
        [
            f"## {guide.name}\n",
            f"**{guide.title}**\n",
            f"{guide.about}\n",
            f"{guide.computes}\n",
            f"```text\n{FORMULAS[guide.name]}\n```\n",
            f"![{words(guide.name)}](metrics/{guide.name}.svg)\n",
            f"- Needs: {needs}.",
            f"- Pool score: {guide.pool_rule}.",
            f"- {'Slow: not in the default set' if guide.slow else 'In the default set'}.",
            f"- From: {_linked(guide.citation)}.\n",
            terms,
            options if guide.options else "No options.\n",
        ]
    )


def _linked(citation: str) -> str:
    return re.sub(r"arXiv:([\d.]+\d)", r"[arXiv:\1](https://arxiv.org/abs/\1)", citation)


def _terms(guide: MetricGuide) -> str:
    return ", ".join(f"{term.name} {ARROWS[term.direction]}" for term in guide.terms)


def _needs(guide: MetricGuide) -> str:
    return ", ".join(guide.needs) or "features only"


def _set(guide: MetricGuide) -> str:
    return "no, slow" if guide.slow else "yes"


def _table(header: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> str:
    lines = [header, tuple("---" for _ in header), *rows]
    return "".join(f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in line)} |\n" for line in lines)


def cli_page() -> str:
    """Return every command with its flags."""
    app = build_app(WORDS)
    groups = [
        f"**{title}**\n\n{_table(('command', 'what it does'), _linked_commands(commands))}"
        for title, commands in COMMANDS.items()
    ]
    sections = [_command(app, words) for commands in COMMANDS.values() for words in commands]
    return "\n".join([NOTICE, "", CLI_INTRODUCTION, *groups, *sections])


def _linked_commands(commands: Mapping[str, str]) -> Iterable[tuple[str, ...]]:
    return ((f"[`{words}`](#{words.replace(' ', '-')})", line) for words, line in commands.items())


def _command(app: App, words: str) -> str:
    """Return the description of a command, and a table for each group of its flags."""
    command = reduce(lambda above, word: above[word], words.split(), app)
    told = re.split(r"^Args:\n", inspect.getdoc(command.default_command) or "", maxsplit=1, flags=re.MULTILINE)[0]
    groups: dict[str, list[tuple[str, ...]]] = {}
    collection = command.assemble_argument_collection(default_parameter=app.default_parameter, parse_docstring=True)
    for one in sorted(
        collection, key=lambda one: next((group.sort_key or 0 for group in one.parameter.group if group.show), 0)
    ):
        if one.show:
            title = next(group.name for group in one.parameter.group if group.show)
            default = "required" if one.required else shown_default(one.field_info.default) if one.show_default else ""
            choices = f" One of {', '.join(one.get_choices())}." if one.get_choices() else ""
            what = " ".join(one.parameter.help.split())
            groups.setdefault(title, []).append(
                (f"`{one.name}`", f"{what[:1].upper()}{what[1:]}{choices}", default or "")
            )
    tables = [f"**{title}**\n\n{_table(('flag', 'what it does', 'default'), rows)}" for title, rows in groups.items()]
    return "\n".join([f"## {words}\n", f"{told.strip()}\n", FORMATS.get(words, ""), *tables])


def schema_page() -> str:
    """Return the JSON Schema of records."""
    return json.dumps(json_schema(), indent=2, ensure_ascii=False) + "\n"


SIGNATURES = "../hf_transfer_score/calls.pyi"


def printed_page(command: str) -> str:
    """Return the JSON Schema of the --json output of a command."""
    return json.dumps(schema(command), indent=2, ensure_ascii=False) + "\n"


def readme() -> str:
    """Return the README with the first lines of the page of evidence, which another script writes."""
    believed = (FOLDER / "evidence.md").read_text(encoding="utf-8").partition("## What to believe\n\n")[2]
    lines = re.findall(r"^- .*", believed.partition("\n## ")[0], re.MULTILINE)
    said = "\n".join([*lines[:EVIDENCE_LINES], lines[-1], ""])
    text = (FOLDER.parent / "README.md").read_text(encoding="utf-8")
    return EVIDENCE.sub(lambda _: said, text)


PAGES = {
    "metrics.md": metrics_page,
    "cli.md": cli_page,
    "record.schema.json": schema_page,
    SIGNATURES: signatures,
    **{f"{command}.schema.json": partial(printed_page, command) for command in PRINTED},
    **{f"metrics/{name}.svg": partial(picture, name) for name in FORMULAS},
    **{f"badges/{name}.svg": partial(str, drawn) for name, drawn in badges().items()},
    "../README.md": readme,
}


def main() -> int:
    """Write the pages, or compare them and return 1 if one is stale."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--check", action="store_true", help="write nothing; exit 1 and show the difference if a page is stale"
    )
    check = parser.parse_args().check
    stale = 0
    for name, page in PAGES.items():
        path, text = FOLDER / name, page()
        if not check:
            path.parent.mkdir(exist_ok=True)
            path.write_text(text, encoding="utf-8")
            continue
        old = path.read_text(encoding="utf-8") if path.exists() else ""
        difference = list(
            difflib.unified_diff(old.splitlines(), text.splitlines(), f"docs/{name}", "generated", lineterm="")
        )
        if difference:
            stale = 1
            hint = f"docs/{name} is stale: run `python docs/generate.py`."
            shown = [line[:DIFFERENCE_WIDTH] for line in difference[:DIFFERENCE_LINES]]
            sys.stderr.write("\n".join([*shown, hint, ""]))
    return stale


if __name__ == "__main__":
    sys.exit(main())
