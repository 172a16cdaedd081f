"""The stored notebooks have no outputs, and run from the first cell to the last without a network."""

import ast
import json
from pathlib import Path
from typing import Any

import pytest

NOTEBOOKS = sorted((Path(__file__).parent.parent / "docs" / "notebooks").glob("*.ipynb"))


def run(source: str, names: dict[str, Any]) -> Any:
    """Run a cell, and return the value of its last line if that is an expression."""
    tree = ast.parse(source)
    last = tree.body.pop() if isinstance(tree.body[-1], ast.Expr) else None
    exec(compile(tree, "cell", "exec"), names)
    return None if last is None else eval(compile(ast.Expression(last.value), "cell", "eval"), names)


def test_there_are_three():
    assert len(NOTEBOOKS) == 3


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_it_runs_and_shows_results(path, tmp_path, monkeypatch):
    monkeypatch.setenv("HF_TRANSFER_SCORE_HOME", str(tmp_path))
    monkeypatch.setattr("hf_transfer_score.metrics.registry._added", {})
    cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
    code = [cell for cell in cells if cell["cell_type"] == "code"]
    assert path.stat().st_size < 20_000 and all(cell["outputs"] == [] for cell in code)
    names: dict[str, Any] = {"__name__": "__main__"}
    shown = [run("".join(cell["source"]), names) for cell in code]
    pages = [one._repr_html_() for one in shown if hasattr(one, "_repr_html_")]
    assert any('<p class="answer">' in page for page in pages)
