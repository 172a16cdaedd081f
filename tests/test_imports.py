"""What loads what: a light root, and rooms that import only their neighbours."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import hf_transfer_score

PACKAGE = Path(hf_transfer_score.__file__).parent
HEAVY = (
    "torch",
    "scipy",
    "sklearn",
    "transformers",
    "datasets",
    "evaluate",
    "timm",
    "gradio",
    "pandas",
    "pyarrow",
    "rich",
    "altair",
    "jinja2",
)

ALLOWED = {
    "errors": set(),
    "version": set(),
    "example": set(),
    "limits": set(),
    "disk": {"errors", "places"},
    "locks": set(),
    "atomic": {"disk"},
    "integrity": set(),
    "text": set(),
    "rendering": set(),
    "places": {"errors"},
    "tasks": {"errors"},
    "untrusted": {"errors"},
    "tensors": {"errors", "limits", "untrusted"},
    "parquet_pages": {"errors"},
    "metrics": {"errors", "metrics"},
    "ranking": {"errors", "metrics", "results.record", "ranking"},
    "ranking/kernel": {"metrics.registry"},
    "ranking/pools": {"metrics.registry", "ranking", "ranking.kernel"},
    "ranking/agreement": {"errors", "ranking.kernel", "ranking.agreement"},
    "hub": {"errors", "limits", "places", "disk", "atomic", "integrity", "hub"},
    "results": {
        "errors",
        "limits",
        "hub",
        "untrusted",
        "parquet_pages",
        "atomic",
        "integrity",
        "metrics.registry",
        "rendering",
        "results",
    },
    "reproduction": {"errors", "ranking.agreement", "results"},
    "requests": {"errors", "untrusted", "hub", "results", "requests"},
    "cards": {"errors", "limits", "untrusted", "metrics.registry", "rendering", "results", "cards"},
    "leaderboard/boards": {"errors", "metrics", "ranking", "results", "text", "leaderboard.boards"},
    "leaderboard": {
        "hub",
        "untrusted",
        *(f"drawing.{name}" for name in ("clouds", "figure", "heatmap", "look", "scatter", "trust_chart", "words")),
        "errors",
        "version",
        "places",
        "atomic",
        "metrics",
        "ranking",
        "results",
        "requests",
        "cards",
        "uploads",
        "evaluate_modules.space",
        "text",
        "rendering",
        "leaderboard",
    },
    "sampling": {
        "errors",
        "example",
        "limits",
        "places",
        "disk",
        "locks",
        "untrusted",
        "hub",
        "tasks",
        "atomic",
        "integrity",
        "parquet_pages",
        "sampling",
    },
    "backbones": {"errors", "limits", "untrusted", "tensors", "integrity", "tasks", "backbones"},
    "checkpoints": {
        "errors",
        "example",
        "text",
        "places",
        "disk",
        "untrusted",
        "hub",
        "tasks",
        "atomic",
        "integrity",
        "backbones.repository",
        "checkpoints",
    },
    "features": {
        "errors",
        "limits",
        "parquet_pages",
        "disk",
        "locks",
        "untrusted",
        "tensors",
        "tasks",
        "atomic",
        "integrity",
        "metrics.checks",
        "sampling",
        "backbones.base",
        "features",
    },
    "evaluate_modules": {
        "errors",
        "metrics",
        "evaluate_modules",
        "features",
        "uploads",
        "version",
        "leaderboard.space",
    },
    "uploads": {"errors", "untrusted", "metrics", "features", "parquet_pages", "worker.box", "uploads"},
    "truth": {
        "untrusted",
        "errors",
        "tasks",
        "atomic",
        "places",
        "metrics",
        "sampling",
        "backbones.base",
        "checkpoints",
        "features",
        "results",
        "truth",
    },
    "selection": {
        "disk",
        "hub",
        "untrusted",
        "truth",
        "errors",
        "example",
        "tasks",
        "places",
        "atomic",
        "integrity",
        "version",
        "metrics",
        "ranking",
        "results",
        "sampling",
        "backbones.base",
        "checkpoints",
        "features",
        "selection",
    },
    "selection/report": {  # a result shows itself by the rooms that show results, which it opens when it is asked to
        "errors",
        "metrics.scores",
        "ranking.ranking",
        "results",
        "sampling.sample",
        "selection.records",
        "drawing",
        "leaderboard.boards.catalogue",
        "leaderboard.pages.model_card",
    },
    "drawing": {"atomic", "errors", "ranking", "selection", "drawing"},
    "worker": {
        "untrusted",
        "atomic",
        "places",
        "errors",
        "hub",
        "features.extract",
        "sampling.options",
        "selection",
        "results",
        "requests",
        "worker",
    },
    "cli": {
        "hub",
        "untrusted",
        "errors",
        "example",
        "atomic",
        "tasks",
        "places",
        "version",
        "metrics",
        "ranking",
        "evaluate_modules.install",
        "evaluate_modules.space_files",
        "sampling",
        "drawing",
        "backbones.base",
        "checkpoints",
        "features",
        "selection",
        "results",
        "requests",
        "worker",
        "truth",
        "cards",
        "leaderboard",
        "reproduction",
        "text",
        "cli",
    },
}
"""Who may import whom inside the package, by room."""


def loaded_by(statement: str) -> list[str]:
    code = f"import sys\n{statement}\nprint(*[name for name in {HEAVY} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return done.stdout.split()


@pytest.mark.parametrize(
    "statement",
    [
        "import hf_transfer_score",
        "import hf_transfer_score; hf_transfer_score.all_metrics()",
        "import hf_transfer_score.cli",
        "import hf_transfer_score.selection.run",
    ],
)
def test_nothing_heavy_is_loaded(statement):
    assert loaded_by(statement) == []


def test_the_test_above_can_fail():
    assert "scipy" in loaded_by("import hf_transfer_score, scipy")


def imports(path: Path) -> set[str]:
    """Return the modules of this package that a file imports, without the package's own name."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        names = [node.module or ""] if isinstance(node, ast.ImportFrom) else []
        if isinstance(node, ast.ImportFrom) and node.module == "hf_transfer_score.metrics":
            names = [f"{node.module}.{alias.name}" for alias in node.names]
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        found |= {name.removeprefix("hf_transfer_score.") for name in names if name.startswith("hf_transfer_score.")}
    return found


@pytest.mark.parametrize("room", ALLOWED)
def test_rooms_import_their_neighbours_only(room):
    files = list((PACKAGE / room).rglob("*.py")) if (PACKAGE / room).is_dir() else [PACKAGE / f"{room}.py"]
    assert files
    for path in files:
        if path.relative_to(PACKAGE).with_suffix("").as_posix() in ALLOWED.keys() - {room}:
            continue
        for name in imports(path):
            parts = name.split(".")
            assert {".".join(parts[:n]) for n in range(1, len(parts) + 1)} & ALLOWED[room], f"{path.name}: {name}"


def test_charts_of_a_board_know_no_report():
    for path in (PACKAGE / "drawing").glob("*.py"):
        if path.stem not in ("points", "files"):
            assert not any(name.startswith("selection") for name in imports(path)), path


def test_what_the_hub_raises_is_looked_at_in_one_room():
    for path in PACKAGE.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ImportFrom) and path.parent.name != "hub":
                assert node.module != "huggingface_hub.errors", path
                assert node.module != "huggingface_hub" or "errors" not in {one.name for one in node.names}, path


def test_nothing_imports_the_command_line():
    for path in PACKAGE.rglob("*.py"):
        if path.name != "__main__.py" and path.parent.name != "cli":
            assert not any(name.split(".")[0] == "cli" for name in imports(path)), path


def test_the_public_list_is_what_can_be_imported():
    public = [name for name in vars(hf_transfer_score) if not name.startswith("_")]
    modules = {path.stem for path in PACKAGE.iterdir()}
    assert sorted(set(public) - modules - {"VERSION"}) == sorted(hf_transfer_score.__all__)
    assert list(hf_transfer_score.__all__) == sorted(hf_transfer_score.__all__)
