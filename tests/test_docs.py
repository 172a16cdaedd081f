"""The generated pages match the code, and the site has no dead ends."""

import importlib.util
import re
import shutil
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path
from xml.etree import ElementTree

import pytest
import yaml

import hf_transfer_score
from hf_transfer_score import all_metrics
from hf_transfer_score.cli.app import COMMANDS, build_app
from hf_transfer_score.version import HOMEPAGE, VERSION

DOCS = Path(__file__).parent.parent / "docs"


@pytest.fixture
def generate(monkeypatch):
    """Run the script of a folder as `make check` and `make docs` do, and return its status."""

    def run(folder: Path, *arguments: str) -> int:
        spec = importlib.util.spec_from_file_location("generate", folder / "generate.py")
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        monkeypatch.setattr(sys, "argv", ["generate.py", *arguments])
        return module.main()

    return run


@pytest.fixture
def copy(tmp_path):
    folder = tmp_path / "docs"
    folder.mkdir()
    for path in (*DOCS.glob("*.*"), DOCS.parent / "README.md"):
        shutil.copy(path, folder / path.relative_to(DOCS) if path.parent == DOCS else tmp_path)
    (tmp_path / "hf_transfer_score").mkdir()
    shutil.copy(DOCS.parent / "hf_transfer_score" / "calls.pyi", tmp_path / "hf_transfer_score")
    return folder


def test_the_pages_are_up_to_date_whatever_the_terminal(generate, monkeypatch, capsys):
    monkeypatch.setenv("COLUMNS", "40")
    assert (generate(DOCS, "--check"), capsys.readouterr().err) == (0, "")


def test_a_stale_page_is_noticed_and_rewritten(generate, copy, capsys):
    page = copy / "metrics.md"
    fresh = page.read_text(encoding="utf-8")
    page.write_text(fresh.replace("0.05", "0.07"), encoding="utf-8")
    (copy / "cli.md").unlink()
    assert generate(copy, "--check") == 1
    said = capsys.readouterr().err
    assert re.search(r"^-.*`temperature` \| `0.07`", said, re.MULTILINE)
    assert re.search(r"^\+.*`temperature` \| `0.05`", said, re.MULTILINE)
    assert "docs/metrics.md is stale: run `python docs/generate.py`." in said
    assert "docs/cli.md is stale" in said
    assert generate(copy) == 0
    assert page.read_text(encoding="utf-8") == fresh
    assert (copy / "cli.md").read_bytes() == (DOCS / "cli.md").read_bytes()


def test_every_variable_of_ours_is_on_its_page():
    code = "".join(path.read_text(encoding="utf-8") for path in (DOCS.parent / "hf_transfer_score").rglob("*.py"))
    page = (DOCS / "environment.md").read_text(encoding="utf-8")
    assert set(re.findall(r"HF_TRANSFER_SCORE_\w+", code)) == set(re.findall(r"HF_TRANSFER_SCORE_\w+", page))


def test_every_metric_term_and_option_is_there():
    text = (DOCS / "metrics.md").read_text(encoding="utf-8")
    sections = dict(re.findall(r"^## (\w+)\n(.*?)(?=^## |\Z)", text, re.MULTILINE | re.DOTALL))
    assert list(sections) == list(all_metrics())
    for name, metric in all_metrics().items():
        assert metric.title in sections[name]
        assert all(
            f"| `{term.name}` | {'↑' if term.direction == 1 else '↓'} |" in sections[name] for term in metric.terms
        )
        assert all(f"| `{option}` |" in sections[name] for option in vars(metric.options))
        written = "".join(ElementTree.parse(DOCS / "metrics" / f"{name}.svg").getroot().itertext())
        assert f"](metrics/{name}.svg)" in sections[name] and all(term.name in written for term in metric.terms)
    assert "could not be checked against the paper's equations" in sections["face"]


def test_every_command_is_there():
    text = (DOCS / "cli.md").read_text(encoding="utf-8")
    commands = [words for group in COMMANDS.values() for words in group]
    assert re.findall(r"^## (.*)$", text, re.MULTILINE) == commands


@pytest.mark.parametrize(("words", "line"), [pair for group in COMMANDS.values() for pair in group.items()])
def test_the_list_of_commands_matches_their_docstrings(words, line):
    *room, name = words.split()
    app = build_app(words.split())
    command = app[room[0]][name] if room else app[name]
    assert command.default_command.__doc__.splitlines()[0] == line
    assert all(one.parameter.help for one in command.assemble_argument_collection(parse_docstring=True) if one.show)


def test_the_citation_is_of_this_version():
    cited = yaml.safe_load((DOCS.parent / "CITATION.cff").read_text(encoding="utf-8"))
    assert (cited["version"], cited["license"], cited["type"]) == (VERSION, "Apache-2.0", "software")
    assert cited["url"] == HOMEPAGE


def test_the_package_names_its_pages():
    section = (ROOT / "pyproject.toml").read_text(encoding="utf-8").split("[project.urls]")[1].split("[")[0]
    told = dict(re.findall(r'^(\w+) = "(.+)"$', section, re.MULTILINE))
    assert list(told) == ["Homepage", "Documentation", "Source", "Changelog", "Issues"]
    assert all(url.startswith(HOMEPAGE) for url in told.values())


ROOT = Path(__file__).parent.parent


@pytest.fixture(scope="module")
def site():
    if find_spec("zensical") is None:
        pytest.skip("the site needs pip install '.[docs]'")
    done = subprocess.run(
        [sys.executable, "docs/build_site.py"], cwd=ROOT, capture_output=True, text=True, timeout=300, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return ROOT / "build" / "site"


def test_each_metric_and_public_name_has_its_place(site):
    assert {path.stem for path in (site / "metrics").glob("*.html")} == {"index", *hf_transfer_score.all_metrics()}
    python = (site / "api.html").read_text(encoding="utf-8")
    names = hf_transfer_score.__all__
    missing = [name for name in names if not re.search(rf'id="hf_transfer_score[\w.]*\.{name}"', python)]
    assert missing == [] and "&gt;&gt;&gt;" in python


def test_a_page_loads_nothing_from_elsewhere(site):
    for path in site.rglob("*.html"):
        page = path.read_text(encoding="utf-8")
        assert not re.findall(r'<(?:script|link|img|iframe)[^>]*(?:src|href)="(?:https?:)?//[^"]*"', page), path
