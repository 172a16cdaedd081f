"""Build the documentation site in build/site, with warnings as errors: `make docs`.

The pages are those of docs/. Each metric gets its own page, the README becomes the quick start, and a page of the
public names is made from their docstrings.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path
from types import FunctionType

import yaml

import hf_transfer_score

ROOT = Path(__file__).parent.parent
DOCS, BUILD = ROOT / "docs", ROOT / "build"
PAGES = BUILD / "docs"
GROUPS = {
    "Rank, choose, verify": ("rank", "plan_rank", "choose", "verify", "board", "RankReport", "Choice", "VerifyReport"),
    "Features and metrics": (
        *("rank_features", "score_features", "rank_pool", "rank_confidence", "weighted_kendall"),
        *("Ranking", "PoolRanking", "FeatureScores", "MetricResult", "get_metric", "all_metrics"),
    ),
}
"""Names that come first; the rest follow as functions and types."""


def gather() -> None:
    """Write the pages of the site into build/docs."""
    shutil.rmtree(PAGES, ignore_errors=True)
    kept = shutil.ignore_patterns("*.py", "__pycache__", "metrics.md", "notebooks")
    shutil.copytree(DOCS, PAGES, ignore=kept)
    write("index.md", quick_start((ROOT / "README.md").read_text(encoding="utf-8")))
    write("changes.md", without_outside((ROOT / "CHANGELOG.md").read_text(encoding="utf-8")))
    write("api.md", api())
    for name, text in metric_pages((DOCS / "metrics.md").read_text(encoding="utf-8")).items():
        write(f"metrics/{name}.md", text)
    for path in PAGES.rglob("*.md"):
        write(path.relative_to(PAGES).as_posix(), to_metrics(path))


def write(name: str, text: str) -> None:
    """Write a page."""
    path = PAGES / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")


def quick_start(text: str) -> str:
    """Return the README as the first page: without badges, with links relative to docs/, and none to other files."""
    return without_outside(re.sub(r"(?m)^\[!\[.*\n\n", "", text).replace("](docs/", "]("))


def without_outside(text: str) -> str:
    """Return a page in which links to files that are not pages are plain text."""
    return re.sub(r"\[([^\]]+)\]\((?!\w+://|#)([^)#]+)(#[^)]*)?\)", _inside, text)


def _inside(found: re.Match[str]) -> str:
    page = PAGES / found[2]
    return found[0] if page.exists() or found[2] == "metrics.md" else found[1]


def to_metrics(path: Path) -> str:
    """Return a page in which links to metrics.md lead to the site's pages of metrics."""
    text = path.read_text(encoding="utf-8")
    up = "../" * (len(path.relative_to(PAGES).parts) - 1)
    text = re.sub(r"\]\((?:\.\./)*metrics\.md#(\w+)\)", rf"]({up}metrics/\1.md)", text)
    text = re.sub(r"\]\((?:\.\./)*metrics\.md\)", f"]({up}metrics/index.md)", text)
    return re.sub(r"\[([^\]]+)\]\(\.\./model_cards/[^)]*\)", r"\1", text)


def metric_pages(text: str) -> dict[str, str]:
    """Return the overview of metrics and one page per metric, by name."""
    first, *sections = re.split(r"(?m)^## (?=\w+\n)", text)
    found = {"index": re.sub(r"\]\(#(\w+)\)", r"](\1.md)", first)}
    for section in sections:
        name = section.partition("\n")[0]
        found[name] = f"# {section}".replace("](metrics/", "](")
    return found


def api() -> str:
    """Return a page of all public names, made from their docstrings."""
    names = [name for name in hf_transfer_score.__all__ if not name.startswith("_")]
    first = {name for group in GROUPS.values() for name in group}
    functions = [one for one in names if isinstance(getattr(hf_transfer_score, one), FunctionType)]
    groups = {
        **GROUPS,
        "More functions": tuple(one for one in functions if one not in first),
        "Types": tuple(one for one in names if one not in first and one not in functions),
    }
    said = "Import everything from `hf_transfer_score`; the modules shown here are where the names are defined.\n"
    parts = ["# Python\n", said]
    for title, members in groups.items():
        parts.append(f"## {title}\n")
        for name in members:
            one = getattr(hf_transfer_score, name)
            module = (
                "hf_transfer_score.calls"
                if hasattr(one, "keywords")
                else getattr(one, "__module__", "hf_transfer_score")
            )
            parts.append(f"::: {module}.{name}\n")
    return "\n".join(parts)


def configuration() -> Path:
    """Write the build configuration, with a menu entry per metric, and return its path."""
    text = (ROOT / "mkdocs.yml").read_text(encoding="utf-8")
    names = sorted(path.stem for path in (PAGES / "metrics").glob("*.md") if path.stem != "index")
    menu = [{"Overview": "metrics/index.md"}, {"Understanding the scores": "guide.md"}]
    menu += [{name: f"metrics/{name}.md"} for name in names]
    made = yaml.safe_load(text)
    made["nav"] = [{"Metrics": menu} if "Metrics" in one else one for one in made["nav"]]
    made |= {"docs_dir": "docs", "site_dir": "site"}
    for one in made["plugins"]:
        if "mkdocstrings" in one:
            one["mkdocstrings"]["handlers"]["python"]["options"]["extensions"] = [str(DOCS / "docstrings.py")]
    path = BUILD / "mkdocs.yml"
    path.write_text(yaml.safe_dump(made, sort_keys=False), encoding="utf-8")
    return path


def main() -> int:
    """Build the site, and return 1 if anything is wrong with it."""
    gather()
    command = [sys.executable, "-m", "zensical", "build", "--strict", "--clean", "--config-file", str(configuration())]
    return subprocess.run(command, cwd=ROOT, check=False).returncode


if __name__ == "__main__":
    sys.exit(main())
