"""The README's recipes run, its commands parse, and its links lead somewhere."""

import re
import shlex
from pathlib import Path

import pytest
import yaml

from hf_transfer_score.cli.app import build_app
from hf_transfer_score.ranking.board import informed
from tests.runs.reports import Made, classified, report_of

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")
GUIDES = tuple(path.relative_to(ROOT).as_posix() for path in sorted((ROOT / "docs" / "guides").glob("*.md")))
ON_GITHUB = "../../actions/"
"""Pages of a repository on GitHub beside its files."""
PYTHON = re.findall(r"```python\n(.*?)```", README, re.DOTALL)


@pytest.mark.parametrize("number", range(len(PYTHON)))
def test_python_recipe(capsys, monkeypatch, tmp_path, number):
    monkeypatch.setenv("HF_TRANSFER_SCORE_HOME", str(tmp_path))
    exec(compile(PYTHON[number], "README.md", "exec"), {})
    assert ("Fine-tune ", "{'near': 2, 'far': 1}")[number] in capsys.readouterr().out


def test_the_recipe_of_a_guide_runs(capsys):
    (recipe,) = re.findall(r"```python\n(.*?)```", (ROOT / "docs/guides/features.md").read_text(encoding="utf-8"), re.S)
    exec(compile(recipe, "features.md", "exec"), {})
    assert "Fine-tune near: " in capsys.readouterr().out


def test_what_a_ranking_can_do_is_told_as_it_is(capsys, monkeypatch, tmp_path):
    """All lines but the first two, which need the Hub."""
    monkeypatch.chdir(tmp_path)
    page = (ROOT / "docs" / "ranking.md").read_text(encoding="utf-8")
    lines = re.search(r"```python\nfrom .*? import rank\n\nreport = rank\(.*?\n(.*?)```", page, re.S)[1]
    report = informed(report_of([Made("o/good", 0.4), Made("o/bad", 4.0)], classified("owner/pets")), (), None)
    exec(compile(lines.replace('"owner/results"', '"./shared"'), "ranking.md", "exec"), {"report": report})
    assert "o/good (1, 2)" in capsys.readouterr().out and (tmp_path / "ranking.html").exists()


def test_the_answer_of_the_example_is_the_same_on_all_pages():
    answers = [
        " ".join(re.search(r"answer: start -->\n(?:```\n|> )(.*?)\n(?:\n|<)", page.read_text("utf-8"), re.S)[1].split())
        for page in (ROOT / "README.md", ROOT / "docs" / "reading.md")
    ]
    assert answers[0] == answers[1] and answers[0].startswith("Fine-tune ")


def test_it_is_short_and_shows_the_answer_in_light_and_dark():
    assert len(README.splitlines()) <= 120
    pictures = [one for one in re.findall(r"!\[[^\]]+\]\(([^)]+)\)", README) if not one.startswith(ON_GITHUB)]
    assert "docs/answer.svg" in pictures
    for picture in pictures:
        assert "prefers-color-scheme:dark" in (ROOT / picture).read_text(encoding="utf-8")


def test_badges_tell_what_is_tested():
    workflows = re.findall(rf"\({ON_GITHUB}workflows/([\w.]+)(?:/badge.svg)?\)", README)
    assert workflows == ["ci.yml", "ci.yml"]
    tests = yaml.safe_load((ROOT / ".github" / "workflows" / "ci.yml").read_text(encoding="utf-8"))["jobs"]["tests"]
    versions = " | ".join(tests["strategy"]["matrix"]["python"])
    assert f">{versions}</text>" in (ROOT / "docs" / "badges" / "python.svg").read_text(encoding="utf-8")
    assert any("bash .ci/run" in step.get("run", "") for step in tests["steps"])


def test_there_are_two_commands():
    commands = re.findall(r"<!-- command: (\w+) -->\n```bash\n(.*?)\n```", README)
    assert [name for name, _ in commands] == ["run", "test"]
    assert all(command.startswith("python3 -m venv .venv && .venv/bin/pip install") for _, command in commands)


def commands_of(page: str) -> list[list[str]]:
    """Return the commands that a page shows, without any words before them on the line."""
    blocks = re.findall(r"```bash\n(.*?)```", (ROOT / page).read_text(encoding="utf-8"), re.DOTALL)
    lines = [line for block in blocks for line in block.replace("\\\n", " ").splitlines()]
    shown = [
        line[line.index("hf-transfer-score ") :] for line in lines if re.search(r"^(.* )?hf-transfer-score ", line)
    ]
    return [shlex.split(line, comments=True)[1:] for line in shown if "-m pip" not in line]


@pytest.mark.parametrize("page", ["README.md", "docs/choosing.md", "docs/leaderboard.md", "docs/ranking.md", *GUIDES])
def test_the_commands_on_a_page_parse(page):
    commands = commands_of(page)
    assert commands
    for command in commands:
        function, *_ = build_app(command).parse_args(command, exit_on_error=False, print_error=False)
        assert function.__name__.split("_") == command[: function.__name__.count("_") + 1]


@pytest.mark.parametrize(
    "page",
    [
        "README.md",
        "CONTRIBUTING.md",
        "docs/choosing.md",
        "docs/guide.md",
        "docs/leaderboard.md",
        "docs/python.md",
        "docs/metrics.md",
        "docs/environment.md",
        "docs/ranking.md",
        "docs/reading.md",
        "docs/truth.md",
        "model_cards/README.md",
        *GUIDES,
    ],
)
def test_links_lead_somewhere(page):
    text = (ROOT / page).read_text(encoding="utf-8")
    for link in re.findall(r"\]\(([^)#]+)[^)]*\)", text):
        if "://" not in link and not link.startswith(ON_GITHUB):
            assert ((ROOT / page).parent / link).exists(), link
