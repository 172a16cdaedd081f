"""Imports: a light root, and rooms that only import allowed rooms."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import hf_transfer_score

PACKAGE = Path(hf_transfer_score.__file__).parent
HEAVY = ("torch", "scipy", "sklearn", "transformers", "datasets", "evaluate", "timm", "gradio", "pandas", "pyarrow")
HEAVY += ("rich", "altair", "jinja2")

ALLOWED = {
    room: set(names.split())
    for room, names in {
        "errors": "",
        "version": "",
        "integrity": "",
        "memory": "",
        "text": "",
        "home": "errors",
        "tasks": "errors",
        "untrusted": "errors",
        "file_heads": "errors untrusted",
        "metrics": "errors metrics",
        "ranking": "errors metrics records tasks text ranking",
        "ranking/ranking": """
            errors metrics records ranking drawing.files drawing.rank_chart drawing.words
        """,
        "ranking/feature_pool": "errors metrics records runs.records ranking tasks",
        "ranking/showing": """
            errors ranking.ranking records runs.records drawing leaderboard.boards.catalogue
            leaderboard.pages.model_page
        """,
        "ranking/kernel": "metrics.registry",
        "ranking/pools": "errors metrics.registry ranking",
        "ranking/agreement": "errors ranking.kernel ranking.agreement",
        "hub": "errors untrusted home integrity version hub",
        "records": """
            errors hub logs memory untrusted file_heads home integrity metrics.registry tasks text version records
        """,
        "reproduction": "errors ranking.agreement records",
        "requests": "engines.base errors untrusted hub records version requests",
        "requests/kept": "home hub.repository records.place records.store",
        "requests/job": """
            untrusted home errors hub features.extract sampling.sample runs records.record requests.box
            requests.request
        """,
        "cards": "errors untrusted metrics.registry text records cards",
        "leaderboard/boards": "errors metrics ranking records text leaderboard.boards",
        "leaderboard": """
            hub memory untrusted drawing.clouds drawing.figure drawing.heatmap drawing.look drawing.scatter
            drawing.trust_chart drawing.words errors version home metrics ranking records requests cards
            uploads evaluate_modules.space text leaderboard
        """,
        "sampling": """
            errors home untrusted integrity file_heads tasks hub.client hub.downloads hub.failures
            hub.settings version text sampling
        """,
        "backbones": "errors untrusted file_heads integrity tasks backbones",
        "checkpoints": """
            errors home tasks hub version backbones.adapters backbones.held backbones.repository checkpoints
        """,
        "features": """
            errors memory untrusted home integrity file_heads sampling.media sampling.sample backbones.base
            backbones.placing features
        """,
        "evaluate_modules": """
            errors metrics evaluate_modules features uploads version text leaderboard.space records.place
        """,
        "uploads": "errors untrusted text metrics features file_heads requests.box uploads",
        "finetune": """
            errors memory text home tasks metrics.labelled metrics.registry records.record sampling backbones.base
            features.batches finetune
        """,
        "engines": "errors home hub metrics.class_stats text untrusted version engines",
        "runs": """
            home hub untrusted finetune engines errors tasks integrity version text metrics ranking records sampling
            backbones.base checkpoints features runs
        """,
        "choosing": """
            backbones.base checkpoints errors features finetune home hub metrics.scores ranking records runs sampling
            tasks text choosing
        """,
        "choosing/result": """
            choosing drawing errors finetune home metrics.scores ranking records runs sampling.sample text
        """,
        "runs/layers": """
            checkpoints.candidate drawing errors ranking.models ranking.showing runs finetune.recipe text
        """,
        "runs/report": """
            errors metrics.scores ranking.ranking ranking.showing records sampling.sample runs.records drawing
            leaderboard.boards.catalogue leaderboard.pages.model_page
        """,
        "drawing": "home errors ranking text drawing",
        "logs": "errors",
        "bars": "choosing.history finetune.fine_tune logs ranking.models runs sampling.sample text",
        "calls": "bars choosing errors finetune.recipe runs sampling text",
        "cli": """
            hub untrusted errors home tasks version metrics ranking evaluate_modules.install sampling
            drawing backbones.base checkpoints choosing features engines runs records requests finetune cards
            leaderboard reproduction text cli
        """,
    }.items()
}
"""The rooms that each room may import."""


def loaded_by(statement: str) -> list[str]:
    code = f"import sys\n{statement}\nprint(*[name for name in {HEAVY} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return done.stdout.split()


@pytest.mark.parametrize(
    "statement",
    [
        "from hf_transfer_score import *",
        "import hf_transfer_score; hf_transfer_score.all_metrics()",
        "import hf_transfer_score.cli",
        "import hf_transfer_score.runs.run",
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


OPENED_WHEN_ASKED = {"choosing", "ranking", "runs"}
"""Rooms with functions that import other rooms when they are called, to show, read or store results."""


def files_imported(path: Path, names: dict[str, Path]) -> set[Path]:
    """Return the files of this package that a file imports, also within functions except in OPENED_WHEN_ASKED."""
    tree, found = ast.parse(path.read_text(encoding="utf-8")), set()
    for node in tree.body if path.parent.name in OPENED_WHEN_ASKED else ast.walk(tree):
        if isinstance(node, ast.ImportFrom):
            found |= {names.get(f"{node.module}.{one.name}", names.get(node.module)) for one in node.names}
    return found - {None}


def test_no_files_import_each_other_in_a_circle():
    paths = list(PACKAGE.rglob("*.py"))
    names = {".".join(path.relative_to(PACKAGE.parent).with_suffix("").parts): path for path in paths}
    left = {path: files_imported(path, names) for path in paths}
    while free := [path for path, needed in left.items() if not needed & left.keys()]:
        for path in free:
            del left[path]
    assert not left, "these import each other"


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
            assert not any(name.startswith("runs") for name in imports(path)), path


def test_only_one_room_handles_errors_of_the_hub():
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
    stub = ast.parse((PACKAGE / "__init__.pyi").read_text(encoding="utf-8"))
    public = next(ast.literal_eval(one.value) for one in stub.body if isinstance(one, ast.Assign))
    assert public == hf_transfer_score.__all__ == sorted(public)
    assert all(getattr(hf_transfer_score, name) for name in public)


def test_the_root_loads_lazily():
    code = (
        "import sys, hf_transfer_score; print(sorted({name.split('.')[0] for name in sys.modules} & {'numpy', 'ast'}))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "['ast']\n"
